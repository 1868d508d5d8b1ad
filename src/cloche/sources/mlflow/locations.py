"""Where the artifacts of an MLflow model are, and how their files are listed and fetched.

mlflow-artifacts:/…      through the tracking server's artifact proxy (its default)
a path or file:…         from this machine's disk, if it exists there
s3:, gs:, … or a path that is not here: through the tracking server's own reading of it, for a
logged model (`/logged-models/ID/artifacts/…`) or a run (`/artifacts/list`, `/get-artifact`)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from cloche.errors import ClocheError
from cloche.sources.downloads import RemoteFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cloche.clients.mlflow import RestRegistry

Listing = list[tuple[str, bool, int | None]]
"""Entries of one folder: the name, whether it is a folder, and its size in bytes if known."""

_DEEPEST = 20
_MOST_FILES = 10_000
_PROXY_PATH = "/api/2.0/mlflow-artifacts/artifacts"


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A folder of artifacts behind a server: how to list a level and fetch a file."""

    registry: RestRegistry
    listing: str
    """Endpoint of a listing."""
    parameter: str
    """The listing's parameter for a folder."""
    root: str
    """The model's folder as the listing names it; empty for the top."""
    endpoint: Callable[[str], str]
    """Maps a path in the listing to the endpoint that sends the file."""
    run_id: str | None = None
    """The listing's other parameter, if it takes one."""

    def top(self) -> Listing:
        """Return the entries of the top level."""
        return sorted(self._level(""), key=lambda item: item[0])

    def files(self, top: Listing) -> tuple[RemoteFile, ...]:
        """Return all files; lists the levels below `top`."""
        return tuple(self._walk("", top, 0, [0]))

    def _walk(
        self, folder: str, level: Listing, depth: int, count: list[int]
    ) -> Iterator[RemoteFile]:
        if depth > _DEEPEST or count[0] > _MOST_FILES:
            raise ClocheError(
                "source.mlflow.toomany",
                f"The model's folder has more than {_MOST_FILES} files or {_DEEPEST} levels.",
                where=self.registry.where,
                hint="Name the folder of the model itself.",
            )
        for name, is_folder, size in level:
            path = f"{folder}/{name}" if folder else name
            if is_folder:
                yield from self._walk(path, self._level(path), depth + 1, count)
            else:
                count[0] += 1
                yield RemoteFile(path, self.endpoint(self._full(path)), size)

    def _full(self, path: str) -> str:
        return "/".join(part for part in (self.root, path) if part)

    def _level(self, folder: str) -> Listing:
        full = self._full(folder)
        return [_entry(item, full, self.registry.where) for item in self._items(full)]

    def _items(self, full: str) -> list[dict[str, Any]]:
        parameters = {self.parameter: full} if full else {}
        if self.run_id is not None:
            parameters["run_id"] = self.run_id
        return self.registry.list_artifacts(self.listing, **parameters)


def _entry(item: dict[str, Any], folder: str, where: str) -> tuple[str, bool, int | None]:
    """Return one entry of a listing; raises for a name that would leave the folder."""
    path = str(item.get("path", ""))
    name = path.removeprefix(f"{folder}/") if folder else path
    if name in {"", ".", ".."} or "/" in name or "\\" in name or "\0" in name:
        raise ClocheError(
            "source.mlflow.path",
            f"The registry lists a file under the path {path!r}, which is not in its folder.",
            where=where,
            hint="Do not trust this registry; nothing was written.",
        )
    size = item.get("file_size")
    return name, bool(item.get("is_dir")), int(size) if size is not None else None


# ── from a URI ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ArtifactOwner:
    """The record through which the server reads a folder; `run` is (id, artifact URI)."""

    model_id: str | None = None
    run: tuple[str, str] | None = None


def locate(
    uri: str, *, registry: RestRegistry | None, owner: ArtifactOwner, directory: Path
) -> Path | RemoteFolder:
    """Return the folder that a URI of artifacts names; `registry` is the tracking server, if any.

    Raises source.mlflow.unreadable when neither this machine nor the server can read it.
    """
    parts = urlsplit(uri)
    local = _local_path(uri, directory)
    if local is not None and local.is_dir():
        return local
    if registry is not None:
        proxied = _proxied_path(uri, registry)
        if proxied is not None:
            return _through_proxy(registry, proxied)
        if owner.model_id is not None:
            return _through_model(registry, owner.model_id)
        if owner.run is not None and (path := _below(uri, owner.run[1])) is not None:
            return _through_run(registry, owner.run[0], path)
    raise _unreadable(uri, parts.scheme, local, registry)


def _local_path(uri: str, directory: Path) -> Path | None:
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        return Path(unquote(parts.path))
    if not parts.scheme or uri.startswith("/"):
        return directory / uri
    return None


def _proxied_path(uri: str, registry: RestRegistry) -> str | None:
    """Return the path of a URI in the server's artifact proxy, None for other URIs."""
    parts = urlsplit(uri)
    server = urlsplit(registry.where)
    if parts.scheme == "mlflow-artifacts" and (
        not parts.netloc or parts.hostname == server.hostname
    ):
        return parts.path.strip("/")
    same = (parts.scheme, parts.netloc.rpartition("@")[2]) == (server.scheme, server.netloc)
    if same and _PROXY_PATH in parts.path:
        return unquote(parts.path.partition(_PROXY_PATH)[2].strip("/"))
    return None


def _through_proxy(registry: RestRegistry, path: str) -> RemoteFolder:
    # The proxy lists names without their folder, and expects paths with it.
    return _ProxyFolder(registry, registry.proxied(), "path", path, registry.proxied)


class _ProxyFolder(RemoteFolder):
    """A folder of the artifact proxy: its listings hold names, not paths."""

    def _level(self, folder: str) -> Listing:
        listed = self._items(self._full(folder))
        return [_entry(item, "", self.registry.where) for item in listed]


def _through_model(registry: RestRegistry, model_id: str) -> RemoteFolder:
    files = f"/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files"
    return RemoteFolder(
        registry,
        f"/api/2.0/mlflow/logged-models/{model_id}/artifacts/directories",
        "artifact_directory_path",
        "",
        lambda path: f"{files}?artifact_file_path={quote(path, safe='')}",
    )


def _through_run(registry: RestRegistry, run_id: str, path: str) -> RemoteFolder:
    run = quote(run_id, safe="")
    return RemoteFolder(
        registry,
        "/api/2.0/mlflow/artifacts/list",
        "path",
        path,
        lambda name: f"/get-artifact?run_uuid={run}&path={quote(name, safe='')}",
        run_id,
    )


def _below(uri: str, root: str) -> str | None:
    prefix = root.rstrip("/") + "/"
    return uri.removeprefix(prefix).strip("/") if root and uri.startswith(prefix) else None


def _unreadable(
    uri: str, scheme: str, local: Path | None, registry: RestRegistry | None
) -> ClocheError:
    if scheme == "mlflow-artifacts":
        hint = "Set MLFLOW_TRACKING_URI to the address of the server that stores the artifacts."
    elif local is not None:
        hint = (
            "They are on the disk of another machine, or were moved: serve them with"
            " `mlflow server`, which is its default, and log the model again."
        )
    else:
        hint = (
            "Let the MLflow server serve the artifacts (`mlflow server --artifacts-destination"
            f" {scheme}://…`, its default way), or download the model and name its folder."
        )
    return ClocheError(
        "source.mlflow.unreadable",
        f"Cannot read the model's artifacts at {_plain(uri)}.",
        where=registry.where if registry else None,
        hint=hint,
    )


def _plain(uri: str) -> str:
    """Return a URI without user, password and query."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
