"""One model repository of a hub, over the HTTP API of the Hugging Face Hub.

https://huggingface.co/docs/hub/api; the answers are those that huggingface_hub reads:

GET /api/models/ID/revision/REVISION            the commit that a branch or tag names
GET /api/models/ID/tree/COMMIT?recursive=true   its files, in pages that `Link` joins (RFC 8288)
GET /ID/resolve/COMMIT/PATH                     a file, from any byte
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit

from cloche.clients.huggingface.names import COMMIT, REPOSITORY, SHA256
from cloche.clients.huggingface.transport import Transport
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from cloche.clients.huggingface.hub import Hub

_MOST_PAGES = 200
"""A page has up to 1,000 files."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A state of a repository, under the repository's name of today."""

    name: str
    commit: str


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """A file of a commit: its path, its size in bytes, and the digest that the hub lists for it.

    The digest is `sha256:…` for a file of Git LFS, else `git:…`; None if the hub lists none.
    """

    path: str
    size: int
    digest: str | None

    @property
    def blob(self) -> str:
        """Return the name that the hub's own client stores it under."""
        return (self.digest or "").partition(":")[2]


class Repository:
    """A repository that is read over HTTP."""

    def __init__(self, hub: Hub, name: str) -> None:
        self.name = name
        self.server = Transport(hub, name)

    def commit(self, revision: str) -> Commit:
        """Return the commit that a branch, a tag or a commit's own digits name now."""
        answer = self._json(f"/api/models/{self.name}/revision/{quote(revision, safe='')}", {})
        if not isinstance(answer, dict) or not COMMIT.fullmatch(str(answer.get("sha", ""))):
            raise self.server.not_hub()
        # The hub redirects a renamed repository, and one from before there were organisations.
        named = str(answer.get("id", ""))
        return Commit(named if REPOSITORY.fullmatch(named) else self.name, answer["sha"])

    def files(self, commit: Commit) -> tuple[RepositoryFile, ...]:
        """Return all files of a commit."""
        endpoint = f"/api/models/{commit.name}/tree/{commit.commit}"
        parameters = {"recursive": "true", "expand": "false"}
        files: list[RepositoryFile] = []
        for _ in range(_MOST_PAGES):
            response = self.server.read(endpoint, parameters)
            files += self._entries(self._answer(response))
            following = response.links.get("next", {}).get("url")
            if not following:
                return tuple(files)
            # Only its query is taken: no address that an answer names is sent the token.
            parameters = dict(parse_qsl(urlsplit(following).query))
        raise ClocheError(
            "huggingface.toomany",
            f"{self.name} lists more files than any model has.",
            where=self.server.where,
            hint="Name a repository of one model.",
        )

    @staticmethod
    def endpoint(commit: Commit, path: str) -> str:
        """Return the endpoint that sends a file."""
        return f"/{commit.name}/resolve/{commit.commit}/{quote(path)}"

    def close(self) -> None:
        """Close the connections."""
        self.server.close()

    def _entries(self, answer: Any) -> list[RepositoryFile]:
        if not isinstance(answer, list):
            raise self.server.not_hub()
        try:
            files = [_file(entry) for entry in answer if entry["type"] == "file"]
        except (KeyError, TypeError, ValueError):
            raise self.server.not_hub() from None
        for file in files:
            if not _is_plain(file.path):
                raise ClocheError(
                    "huggingface.path",
                    f"The hub lists a file under the path {file.path!r}, which leaves its folder.",
                    where=self.server.where,
                    hint="Do not trust this hub; nothing was written.",
                )
        return files

    def _json(self, endpoint: str, parameters: dict[str, str]) -> Any:
        return self._answer(self.server.read(endpoint, parameters))

    def _answer(self, response: Any) -> Any:
        self.server.check(response)
        try:
            return response.json()
        except ValueError:
            raise self.server.not_hub() from None


def _file(entry: dict[str, Any]) -> RepositoryFile:
    stored = entry.get("lfs") or {}
    sha256, git = str(stored.get("oid", "")), str(entry.get("oid", ""))
    digest = f"git:{git}" if COMMIT.fullmatch(git) else None
    if stored:
        digest = f"sha256:{sha256}" if SHA256.fullmatch(sha256) else None
    return RepositoryFile(str(entry["path"]), int(stored.get("size", entry.get("size", 0))), digest)


def _is_plain(path: str) -> bool:
    return not any(part in {"", ".", ".."} for part in path.split("/")) and "\0" not in path
