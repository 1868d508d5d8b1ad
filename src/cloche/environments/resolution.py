"""Resolves a model's requirements, once."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from cloche import artifacts
from cloche.artifacts import Lock
from cloche.environments import from_source, needless, pytorch, remedies, uv
from cloche.environments import requirements as recorded
from cloche.environments.compilation import Compiler
from cloche.errors import ClocheError
from cloche.settings import PYTORCH_INDEX
from cloche.units import count_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.environments.from_source import Pinned
    from cloche.environments.pins import Pin
    from cloche.progress import Progress
    from cloche.store import Store

_KIND = "lock"


def lock(
    requirements: tuple[str, ...],
    python: str,
    *,
    store: Store,
    progress: Progress,
    environment: Mapping[str, str],
    pytorch_index: str | None = PYTORCH_INDEX,
) -> Lock:
    """Return the lock of requirements for a Python version (`3.11`) on this platform.

    An earlier result is returned unchanged, so that the same model has the same lock even if the
    package index changes. Only wheels are used: a package that exists only as source, or for which
    `--no-binary NAME` is recorded, is built once, and its wheel is in the store. Packages that CPUs
    never need are left out, and PyTorch is taken in its build for CPUs where that can be had, from
    its own index or the mirror `pytorch_index`; findings say so. With None, for a model that needs
    a GPU, all stays as the requirements and indexes have it.

    A line may end with a comment that says where it comes from, and an error about its package has
    it. Raises ClocheError: `environment.unresolvable` with the resolver's message,
    `environment.requirement` for a line that cannot be locked, `environment.digest` for a package
    whose digest is not the recorded one, `environment.build` for one that cannot be built,
    `environment.network` (retriable).
    """
    choice = pytorch.choice(environment, pytorch_index)
    inputs = [requirements, python, *([choice] if choice else [])]
    key = artifacts.digest_of(artifacts.encode(inputs)).removeprefix("sha256:")
    remembered = store.recall(_KIND, key)
    if remembered is not None:
        known = artifacts.decode(Lock, remembered)
        if from_source.is_whole(known, store):
            return replace(known, of=key)
    parsed = recorded.parse(requirements)
    asked = count_text(len(parsed.packages), "requirement")
    with progress.task(f"Resolving the model's {asked}") as task:
        compiler = Compiler(python, environment)
        with from_source.pinned(parsed, compiler, _pins, store, task) as found:
            new_lock = replace(_resolve(found, pytorch_index, store), of=key)
        task.note(f"{count_text(len(new_lock.packages), 'package')} for Python {python}")
    store.remember(_KIND, key, artifacts.encode(new_lock))
    return new_lock


def adopt(known: Lock, store: Store) -> None:
    """Have a lock that another machine resolved be the lock of the same requirements here."""
    if known.of and store.recall(_KIND, known.of) is None:
        store.remember(_KIND, known.of, artifacts.encode(known))


def _resolve(found: Pinned, pytorch_index: str | None, store: Store) -> Lock:
    parsed, compiler = found.parsed, found.compiler
    built = pytorch.for_cpus(parsed, found.pins, compiler, pytorch_index, store)
    sizes = compiler.sizes(parsed, built.pins, built.source)
    on_cpus = pytorch.serves_on_cpus(compiler.environment, pytorch_index)
    left_out = needless.left_out(built.pins) if on_cpus else {}
    kept = [pin for pin in built.pins if pin.name not in left_out]
    text = "".join(f"{line}\n" for line in (*parsed.options, *built.pages, *kept))
    sizes_kept = {name: size for name, size in sizes.items() if name not in left_out}
    findings = (*from_source.findings(found.built), *pytorch.findings(built, parsed, sizes_kept))
    return Lock(
        artifacts.digest_of_lock(compiler.python, text),
        compiler.python,
        text,
        sizes_kept,
        (*findings, needless.finding(left_out, sizes)) if left_out else findings,
        found.built,
    )


def _pins(parsed: recorded.Requirements, compiler: Compiler) -> tuple[Pin, ...]:
    """Return the packages that the user's indexes give, in another build if they lack the named."""
    any_build = pytorch.without_builds(parsed)
    if any_build != parsed:
        with suppress(uv.UvError):
            return compiler.pin(parsed)
    try:
        return compiler.pin(any_build)
    except uv.UvError as error:
        raise _unresolvable(error, parsed.packages, compiler.python) from error


def _unresolvable(error: ClocheError, packages: tuple[str, ...], python: str) -> ClocheError:
    words = set(re.findall(r"[a-z0-9._-]+", error.what.lower()))
    said = [line for line in packages if "  # " in line and recorded.name_of(line) in words]
    lines = "".join(f"\nAsked for: {line}" for line in said)
    return ClocheError(
        "environment.unresolvable",
        f"The model's requirements cannot be resolved for Python {python}. {error.what}{lines}",
        where=said[0].partition("  # ")[2].partition(":")[0] if said else "requirements.txt",
        hint=remedies.hint(error.what, python),
    )
