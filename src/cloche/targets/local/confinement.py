"""Replicas in a sandbox: what a model's code sees of this machine.

It reads what everybody may read, and the files of its own revision; it writes in the folder of its
temporary files, which is its home. What `sandbox:` opens of the user's home is at its place there.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.artifacts import Finding, Severity
from cloche.errors import ClocheError, UsageError
from cloche.sandbox import FILES, NETWORK, surroundings, trial
from cloche.targets.local import socket_peers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cloche.artifacts import Sandbox
    from cloche.servers import ServerCommand

_OF_GPUS = Path("/tmp/nvidia-mps")  # noqa: S108
"""Where programs meet that share a GPU by NVIDIA's MPS."""
_OF_THE_SERVER_ALONE = ("LD_LIBRARY_PATH",)
"""Variables that would change the program which puts the sandbox on."""


def confined(command: ServerCommand, sandbox: Sandbox, write: Iterable[Path]) -> ServerCommand:
    """Return a command in its sandbox, in which it also changes the files of `write`."""
    if not sandbox.closes_files and sandbox.keeps_network:
        return command
    opened = opened_by(sandbox)
    walls = surroundings.walls(
        os.environ,
        command.scratch,
        read=[*command.reads, *opened],
        write=[*write, _OF_GPUS, *map(_path, sandbox.write or ())],
        network=sandbox.keeps_network,
        needs=() if sandbox.keeps_network else (NETWORK,),
        temporary=command.scratch,
    )
    variables = dict(command.env)
    own = {name: variables.pop(name) for name in _OF_THE_SERVER_ALONE if name in variables}
    walls = replace(walls, variables=own, start=str(command.scratch), instead=command.instead)
    if sandbox.closes_files:
        variables["HOME"] = str(command.scratch)
        _put_in_home(command.scratch, opened)
    else:
        walls = replace(walls, files=False, hide={})
    return replace(command, argv=walls.around(*command.argv), env=variables)


def opened_by(sandbox: Sandbox) -> list[Path]:
    """Return the paths that a user opens to a model."""
    return [_path(each) for each in sandbox.opened]


def closed(sandbox: Sandbox) -> tuple[str, ...]:
    """Return what is closed to the model's code of a replica here."""
    files = sandbox.closes_files and trial.held().files
    closed_here = ((FILES, files), (NETWORK, not sandbox.keeps_network))
    return tuple(name for name, is_closed in closed_here if is_closed)


def require(sandbox: Sandbox, *, container: bool) -> None:
    """Raise ClocheError `sandbox.…` if replicas cannot be had in a sandbox."""
    closes_network = not sandbox.keeps_network
    if container and (closes_network or sandbox.opens_files):
        raise UsageError(
            "sandbox.container",
            "Replicas in containers have the files of their image, and the network of the engine.",
            where="sandbox",
            hint="Leave `sandbox` out, or have them run as processes (`runtime: process`).",
        )
    if closes_network and not (socket_peers.are_known() and trial.held().network):
        raise ClocheError(
            "sandbox.network",
            "This kernel cannot close the network to a program: it allows neither namespaces nor"
            " filters of system calls.",
            where="sandbox.network",
            hint="Leave it out, or deploy where `cloche doctor` says that it can be closed.",
        )
    for path in opened_by(sandbox):
        if not path.exists():
            raise UsageError(
                "sandbox.path",
                f"The sandbox is to open {path}, which does not exist.",
                where="sandbox",
                hint="Make it first, or correct the path.",
            )


def findings(sandbox: Sandbox, *, container: bool) -> Iterator[Finding]:
    """Yield what a user should know of what a model's code reaches."""
    if container:
        return
    if not sandbox.closes_files:
        what = "Its code reads and changes whatever you may, as `sandbox.files` is false."
        yield Finding(Severity.NOTE, "sandbox.off", what, where="sandbox.files")
    elif not trial.held().files:
        yield Finding(
            Severity.WARNING,
            "sandbox.open",
            "Its code reads and changes whatever you may: this kernel has no Landlock.",
            hint="Landlock needs Linux 5.13 or newer, and a container engine that allows it.",
        )


def _path(written: str) -> Path:
    return Path(written).expanduser()


def _put_in_home(home: Path, opened: Iterable[Path]) -> None:
    """Have what is opened of the user's home be at its place in the home of a replica."""
    for path, inner in _in_home(opened):
        place = home / inner
        place.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # it is in a folder that is opened, too
            place.symlink_to(path)


def _in_home(opened: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    own = Path.home()
    for path in sorted(opened):
        if path != own and path.is_relative_to(own):
            yield path, path.relative_to(own)
