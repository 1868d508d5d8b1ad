"""Resolves a model's requirements, once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cloche import artifacts
from cloche.artifacts import Lock
from cloche.environments import requirements as recorded
from cloche.environments import uv
from cloche.environments.compilation import Compiler
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Mapping

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
) -> Lock:
    """Return the lock of requirements for a Python version (`3.11`) on this platform.

    An earlier result is returned unchanged, so that the same model has the same lock even if the
    package index changes. Only wheels are used, because building a source distribution runs its
    code before the user serves it; a recorded `--no-binary NAME` allows it.

    A line may end with a comment that says where it comes from, and an error about its package has
    it. Raises ClocheError: `environment.unresolvable` with the resolver's message,
    `environment.requirement` for a line that cannot be locked, `environment.digest` for a package
    whose digest is not the recorded one, `environment.network` (retriable).
    """
    key = artifacts.digest_of(artifacts.encode([requirements, python])).removeprefix("sha256:")
    remembered = store.recall(_KIND, key)
    if remembered is not None:
        return artifacts.decode(Lock, remembered)
    parsed = recorded.parse(requirements)
    with progress.task(f"Resolving the model's {len(parsed.packages)} requirements") as task:
        new_lock = _resolve(parsed, Compiler(python, environment))
        task.note(f"{len(new_lock.packages)} packages for Python {python}")
    store.remember(_KIND, key, artifacts.encode(new_lock))
    return new_lock


def _resolve(parsed: recorded.Requirements, compiler: Compiler) -> Lock:
    try:
        compiled = compiler.pin(parsed)
    except uv.UvError as error:
        raise _unresolvable(error, parsed.packages, compiler.python) from error
    pinned = _pinned_lines(compiled, parsed.digests)
    text = "".join(f"{line}\n" for line in parsed.options) + pinned
    digest = artifacts.digest_of(f"python {compiler.python}\n{text}".encode())
    return Lock(digest, compiler.python, text, compiler.sizes(parsed, pinned))


def _unresolvable(error: ClocheError, packages: tuple[str, ...], python: str) -> ClocheError:
    words = set(re.findall(r"[a-z0-9._-]+", error.what.lower()))
    said = [line for line in packages if "  # " in line and recorded.name_of(line) in words]
    lines = "".join(f"\nAsked for: {line}" for line in said)
    return ClocheError(
        "environment.unresolvable",
        f"The model's requirements cannot be resolved for Python {python}. {error.what}{lines}",
        where=said[0].partition("  # ")[2].partition(":")[0] if said else "requirements.txt",
        hint="Name packages there that fit each other and have wheels for"
        f" Python {python} on Linux (in MLflow: log the model again with pip_requirements). If one"
        " must be built from source, add a line `--no-binary NAME`.",
    )


def _pinned_lines(text: str, allowed: Mapping[str, frozenset[str]]) -> str:
    """Return the resolver's lines without options, with the digests that the model allows.

    Raises ClocheError `environment.unhashed` and `environment.digest`.
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(("#", "-"))]
    entries = [entry for entry in re.split(r"\n(?=\S)", "\n".join(lines)) if entry]
    unhashed = [entry.split()[0] for entry in entries if "--hash=" not in entry]
    if unhashed:
        raise ClocheError(
            "environment.unhashed",
            f"{', '.join(unhashed)} cannot be locked: the package index has no digest for it.",
            where="requirements.txt",
            hint="Name released versions of these packages.",
        )
    return "".join(f"{_with_digests(entry, allowed)}\n" for entry in entries)


def _with_digests(entry: str, allowed: Mapping[str, frozenset[str]]) -> str:
    """Return an entry with the digests that its requirement allows; uv lists all of a release."""
    head, *digests = re.split(r"\s*\\?\n\s*--hash=", entry)
    wanted = allowed.get(recorded.name_of(head))
    if wanted is None:
        return entry
    kept = [digest for digest in digests if digest.strip() in wanted]
    if not kept:
        raise ClocheError(
            "environment.digest",
            f"The package index has {head.strip()} with other digests than the model recorded.",
            where="requirements.txt",
            hint="The files of this release were changed, or the index is another one. Check which,"
            " and record the digests again.",
        )
    return " \\\n    --hash=".join([head, *kept])
