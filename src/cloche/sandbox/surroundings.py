"""What of this machine is the user's own, and what everybody may see.

A right is only ever given (Landlock), so what is not private is listed: the folders beside the
private ones, and beside those that hold them.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.home import default_home
from cloche.sandbox.namespaces import SHARED_MEMORY
from cloche.sandbox.walls import Walls

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PRIVATE = (
    "/home", "/root", "/tmp", "/var/tmp", "/run/user", "/run/secrets",  # noqa: S108
    "/run/credentials",
)  # fmt: skip
_SERVICES = (
    "/run/user", "/run/docker.sock", "/run/docker", "/run/containerd", "/run/podman", "/run/crio",
    "/run/dbus", "/run/systemd/private", "/run/snapd.socket",
)  # fmt: skip
"""Sockets by which services act for a user: no right to files is needed to reach one."""
_SECRETS = ("/etc/shadow", "/etc/gshadow", "/etc/ssh", "/etc/ssl/private", "/etc/kubernetes")
"""What root alone reads beside what everybody does."""
_SYSTEM = (Path("/usr"), Path("/etc"), Path("/proc"))
_DEVICES = Path("/dev")
_INSTALLED = ("bin", "include", "lib", "lib32", "lib64", "libexec", "share")
"""The parts of a folder that programs are installed in."""
_HOME = re.compile(r"^home\s*=\s*(.+?)\s*$", re.MULTILINE)
_MOST_LINKS = 40
_TEMPORARY = "/tmp"  # noqa: S108


def walls(
    environment: Mapping[str, str],
    folder: Path,
    *,
    read: Iterable[Path],
    write: Iterable[Path] = (),
    network: bool,
    needs: tuple[str, ...] = (),
    temporary: Path | None = None,
) -> Walls:
    """Return walls in which a program of the user's sees nothing of the user.

    It reads what is on the machine for everybody and what is named, and writes in `folder`, in what
    is named, and nowhere else.
    """
    closed = private(environment)
    # A path is found as it is named and as it is.
    named = {each for path in read for each in (path.absolute(), path.resolve())}
    changed = {each for path in (folder, *write) for each in (path.absolute(), path.resolve())}
    return Walls(
        read=(*shared(closed), *sorted(map(str, named))),
        write=tuple(sorted(map(str, changed))),
        network=network,
        hide=hidden(closed, temporary),
        needs=needs,
    )


def private(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the folders that hold what is the user's own, or another's, as real paths.

    A home that holds the system, such as `/`, is none.
    """
    homes = (environment.get("HOME", ""), str(Path.home()), str(default_home(environment)))
    named = (*_PRIVATE, *homes, tempfile.gettempdir())
    found = {Path(each).resolve() for each in named if each.startswith("/")}
    own = {each for each in found if not any(system.is_relative_to(each) for system in _SYSTEM)}
    # Of what cannot be looked at, `Path.is_dir` raises an error.
    return tuple(sorted(each for each in own if os.path.isdir(each)))  # noqa: PTH112


def shared(closed: Iterable[Path]) -> list[str]:
    """Return the files and folders of this machine that are in none of the closed ones."""
    return sorted(map(str, _beside(Path("/"), frozenset((*closed, _DEVICES)))))


def _beside(folder: Path, closed: frozenset[Path]) -> Iterator[Path]:
    try:
        entries = list(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        # What a link leads to is listed where it is.
        if entry in closed or os.path.islink(entry):  # noqa: PTH114
            continue
        if any(each.is_relative_to(entry) for each in closed):
            yield from _beside(entry, closed)
        else:
            yield entry


def hidden(closed: Iterable[Path], temporary: Path | None = None) -> dict[str, str | None]:
    """Return what is to be hidden: the outermost closed folders, and the sockets of services.

    In the place of `/tmp`, of which some programs know no other name, is `temporary`.
    """
    found = {*closed, *(path for each in _SERVICES if (path := Path(each)).exists())}
    if os.geteuid() == 0:
        found |= {path for each in _SECRETS if (path := Path(each)).exists()}
    found.add(Path(SHARED_MEMORY))
    outermost = {each for each in found if not any(each.is_relative_to(o) for o in found - {each})}
    place = None if temporary is None else str(temporary)
    return {str(each): place if str(each) == _TEMPORARY else None for each in sorted(outermost)}


def python(interpreter: Path) -> Iterator[Path]:
    """Yield the folder of a virtual environment, and where its Python is installed."""
    folder = interpreter.parent.parent
    bases = {path.parent.parent for path in _followed(interpreter)}
    settings = folder / "pyvenv.cfg"
    if settings.is_file():
        yield folder
        found = _HOME.search(settings.read_text(encoding="utf-8"))
        bases = bases - {folder} | ({Path(found[1]).parent} if found else set())
    for base in bases | {interpreter.resolve().parent.parent}:
        yield from (base / name for name in _INSTALLED)


def leads_out(folder: Path) -> Iterator[Path]:
    """Yield what links in a folder lead to; for a virtual environment, its Python, too."""
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root, name)
            if path.is_symlink():
                yield from list(_followed(path))[1:]
                if (path / "pyvenv.cfg").is_file():
                    yield from python(path / "bin" / "python")


def _followed(path: Path) -> Iterator[Path]:
    """Yield a path, what it links to, and so on to its real path."""
    yield path
    for _ in range(_MOST_LINKS):
        if not path.is_symlink():
            break
        path = path.parent / path.readlink()
        yield path
    yield path.resolve()
