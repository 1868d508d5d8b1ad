"""References to repositories of the Hugging Face Hub, parsed.

hf://org/name   hf://org/name@revision   hf://name   hf://org/name@revision/folder/or/file

A revision is a branch, a tag, a commit, or `refs/pr/1`; a `/` in the name of a branch is written
`%2F`. These are the forms of `HfFileSystem`, which has the same two kinds of repositories beside
models: data sets and spaces.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from cloche.clients.huggingface.names import COMMIT, PART
from cloche.sources.references import split, wrong

FORMS = ("hf://ORG/NAME", "hf://ORG/NAME@REVISION", "hf://ORG/NAME@REVISION/PATH")
_HINT = f"Write {FORMS[0]}, {FORMS[1]}, or {FORMS[2]}."
_OTHERS = {"datasets": "a data set", "spaces": "a space"}
_REFERENCE = re.compile(
    # Without an organisation a path takes a revision before it: org/name is no path of org.
    rf"(?P<name>{PART}/{PART}|{PART}(?=@|$))"
    r"(?:@(?P<revision>refs/(?:pr|convert)/[^/]+|[^/]*))?(?:/(?P<path>.*))?",
    re.ASCII | re.DOTALL,
)
_SHOWN = (
    rf"(?P<name>{PART}/{PART})"
    r"(?:/(?:tree|blob|resolve|raw)/(?P<revision>refs/pr/[0-9]+|[^/]+)(?:/(?P<path>.+?))?)?/?"
)
_PAGE = re.compile(rf"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/{_SHOWN}", re.ASCII)
"""How the hub's own pages name a repository, a folder or a file."""
_LIKE_A_PAGE = re.compile(_SHOWN, re.ASCII)
_FORBIDDEN = re.compile(r"[\s?#\\\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class HubReference:
    """A revision of a repository; `path` is a folder or a file in it, empty for all of it."""

    text: str
    name: str
    revision: str = "main"
    path: str = ""

    @property
    def is_commit(self) -> bool:
        """Return whether the revision is a commit, which always has the same files."""
        return COMMIT.fullmatch(self.revision) is not None

    def pinned(self, name: str, commit: str) -> str:
        """Return the reference that always names the same files."""
        return f"hf://{name}@{commit}" + (f"/{self.path}" if self.path else "")


def parse(text: str) -> HubReference:
    """Parse a reference of the scheme `hf`; raises UsageError."""
    _, rest = split(text)
    if not rest.startswith("/"):
        raise wrong("slashes", text, "A repository is written with two slashes.", _HINT)
    rest = rest.strip("/")
    kind = _OTHERS.get(rest.partition("/")[0])
    if kind is not None and "/" in rest:
        raise wrong("kind", text, f"The reference names {kind}, which is not a model.", _HINT)
    page = _LIKE_A_PAGE.fullmatch(rest)
    if page is not None and page["revision"]:
        hint = f"Did you mean {_of_parts(page)}?"
        raise wrong("page", text, "This is how the hub's pages name a file, not a path.", hint)
    match = _REFERENCE.fullmatch(rest)
    if match is None or ".." in match["name"]:
        raise wrong("repository", text, "The reference does not name a repository.", _HINT)
    revision, path = match["revision"], match["path"] or ""
    if revision is not None and not _is_revision(unquote(revision)):
        raise wrong("revision", text, "The reference names no usable revision.", _HINT)
    if any(part in {"", ".", ".."} for part in path.split("/")) and path:
        raise wrong("path", text, "The path leads out of the repository.", _HINT)
    return HubReference(text, match["name"], unquote(revision or "main"), path)


def of_page(address: str) -> str | None:
    """Return the reference to what a page of the public hub shows; None for other addresses."""
    shown = _PAGE.fullmatch(address.partition("?")[0])
    return _of_parts(shown) if shown else None


def _of_parts(shown: re.Match[str]) -> str:
    revision = f"@{shown['revision']}" if shown["revision"] else ""
    path = f"/{shown['path']}" if shown["path"] else ""
    return f"hf://{shown['name']}{revision}{path}"


def _is_revision(revision: str) -> bool:
    parts = revision.split("/")
    return not _FORBIDDEN.search(revision) and not any(p in {"", ".", ".."} for p in parts)
