"""Pins requirements of which an index has some packages as source alone.

Such a package is built once (`building`), and its wheel takes its place: the lock has the digest of
the wheel, and nothing is built where the lock is installed.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche.artifacts import FileEntry, Finding, Severity
from cloche.environments.requirements import name_of
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from cloche.artifacts import BuiltWheel, Lock
    from cloche.environments.compilation import Compiler, SourceFile
    from cloche.environments.pins import Pin
    from cloche.environments.requirements import Requirements
    from cloche.progress import Task
    from cloche.store import Store

_MISNAMED = frozenset({"sklearn"})
"""Sources on the package index that hold nothing but word of the package that was meant."""
_WANTED = re.compile(r"Wheels are required for `([\w.-]+)`")


@dataclass(frozen=True, slots=True)
class Pinned:
    """The packages of requirements, and how they were pinned."""

    pins: tuple[Pin, ...]
    parsed: Requirements
    """The requirements, in which what was built is one version from one file."""
    compiler: Compiler
    """Knows the wheels that were built."""
    built: tuple[BuiltWheel, ...] = ()


@contextmanager
def pinned(
    parsed: Requirements,
    compiler: Compiler,
    pin: Callable[[Requirements, Compiler], tuple[Pin, ...]],
    store: Store,
    task: Task,
) -> Iterator[Pinned]:
    """Yield the packages that `pin` returns for requirements, once what has no wheel was built.

    The wheels lie in a temporary folder meanwhile. Raises what `pin` and `building.build` do.
    """
    from cloche.environments import building  # with archives, which most models need not

    built: list[BuiltWheel] = []
    wanted = set(parsed.from_source)
    if parsed.from_source:
        parsed = replace(parsed, builds=tuple(each for each in parsed.builds if ":" in each))
    while True:
        with wheels(built, store) as folder:
            sources = _sources(replace(compiler, wheels=folder), parsed, wanted)
        for source in sources:
            _require_recorded(source, parsed)
            task.note(f"building {source.name} {source.version}, which exists only as source")
            wheel = building.build(
                source, compiler.python, store=store, environment=compiler.environment
            )
            built.append(wheel)
            parsed = _with(wheel, parsed)
        with wheels(built, store) as folder:
            having = replace(compiler, wheels=folder)
            try:
                pins = pin(parsed, having)
            except ClocheError as error:
                wanted = _named(error, parsed) - {wheel.name for wheel in built}
                if not wanted:
                    raise
                continue
            yield Pinned(pins, parsed, having, tuple(built))
            return


@contextmanager
def wheels(built: Sequence[BuiltWheel], store: Store | None) -> Iterator[Path | None]:
    """Yield a folder with wheels that were built; None if there are none.

    Raises ClocheError `environment.wheel` for one that is not in the store.
    """
    for wheel in built:
        if store is None or not store.use(wheel.digest):
            raise _gone(wheel)
    if not built or store is None:
        yield None
        return
    entries = tuple(FileEntry(wheel.file, wheel.size, wheel.digest) for wheel in built)
    with store.laid_out(entries) as folder:
        yield folder


def findings(built: Sequence[BuiltWheel]) -> tuple[Finding, ...]:
    """Return what a user should know of packages that were built."""
    if not built:
        return ()
    names = ", ".join(f"{wheel.name} {wheel.version}" for wheel in built)
    compiled = [wheel.name for wheel in built if wheel.glibc]
    only = f" On this kind of machine alone runs {', '.join(compiled)}." if compiled else ""
    what = f"No index has a wheel of {names} for this Python: built here, once, from source.{only}"
    return (Finding(Severity.NOTE, "environment.built", what), *_open(built))


def _open(built: Sequence[BuiltWheel]) -> tuple[Finding, ...]:
    """Return what is worth knowing of builds that were not kept apart from the machine."""
    reached = sorted({each for wheel in built for each in wheel.reached})
    if not reached:
        return ()
    names = ", ".join(wheel.name for wheel in built if wheel.reached)
    what = f"Its author's code could reach your {' and the '.join(reached)} when {names} was built."
    hint = "Landlock (Linux 5.13) closes files to a build, and namespaces of users the network."
    hint += " Build where the kernel has both, or `--only-binary :all:` in requirements.txt."
    return (Finding(Severity.WARNING, "environment.build_open", what, hint=hint),)


def is_whole(lock: Lock, store: Store) -> bool:
    """Return whether all that was built for a lock is still in the store."""
    return all(store.use(wheel.digest) for wheel in lock.built)


def _gone(wheel: BuiltWheel) -> ClocheError:
    return ClocheError(
        "environment.wheel",
        f"The wheel of {wheel.name} {wheel.version}, which was built from source, is not on this"
        " machine.",
        where=wheel.file,
        hint="Deploy the model again here: its requirements are locked anew.",
    )


def _sources(compiler: Compiler, parsed: Requirements, wanted: set[str]) -> tuple[SourceFile, ...]:
    """Return the sources of packages, and of those that uv names beside them."""
    while wanted:
        try:
            return compiler.sources(parsed, wanted)
        except ClocheError as error:
            more = _named(error, parsed) - wanted
            if not more:
                raise
            wanted = wanted | more
    return ()


def _named(error: ClocheError, parsed: Requirements) -> set[str]:
    """Return the packages that exist only as source, as uv says, and may be built."""
    if ":all:" in parsed.wheels_only:
        return set()
    named = {name_of(name) for name in _WANTED.findall(error.what)}
    return named - _MISNAMED - parsed.wheels_only


def _with(wheel: BuiltWheel, parsed: Requirements) -> Requirements:
    """Return requirements in which a package is the one that was built."""
    return replace(
        parsed,
        constraints=(*parsed.constraints, f"{wheel.name}=={wheel.version}"),
        digests={**parsed.digests, wheel.name: frozenset({wheel.digest})},
    )


def _require_recorded(source: SourceFile, parsed: Requirements) -> None:
    allowed = parsed.digests.get(source.name)
    if allowed is not None and source.digest not in allowed:
        raise ClocheError(
            "environment.digest",
            f"The package index has {source.name} {source.version} with another digest than the"
            " model recorded.",
            where="requirements.txt",
            hint="The file of this release was changed, or the index is another one. Check which,"
            " and record the digest again.",
        )
