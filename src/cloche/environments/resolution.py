"""Resolves a model's requirements, once."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cloche import artifacts
from cloche.artifacts import Lock
from cloche.environments import requirements as recorded
from cloche.environments import uv
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.progress import Progress
    from cloche.store import Store

_KIND = "lock"
_SECONDS = 900.0
_IN_PLACE_OF = {"tensorflow-cpu": "tensorflow"}
"""Packages with the modules of another: where one is asked for, the other is not installed, though
more packages name it."""


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
        text = _compile(parsed, python, environment)
        count = text.count("==")
        task.note(f"{count} packages for Python {python}")
    digest = artifacts.digest_of(f"python {python}\n{text}".encode())
    new_lock = Lock(digest, python, text)
    store.remember(_KIND, key, artifacts.encode(new_lock))
    return new_lock


def _compile(parsed: recorded.Requirements, python: str, environment: Mapping[str, str]) -> str:
    arguments = [
        "pip", "compile", "requirements.in", "--python-version", python, "--generate-hashes",
        "--no-header", "--no-annotate", "--quiet", "--constraints", "constraints.txt",
        "--only-binary", ":all:",
    ]  # fmt: skip
    if parsed.prereleases:
        arguments += ["--prerelease", "allow"]
    with tempfile.TemporaryDirectory(prefix="cloche-lock-") as name:
        folder = Path(name)
        lines = (*parsed.indexes, *parsed.builds, *parsed.packages)
        (folder / "requirements.in").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / "constraints.txt").write_text(
            "\n".join(parsed.constraints) + "\n", encoding="utf-8"
        )
        replaced = {recorded.name_of(line) for line in parsed.packages} & _IN_PLACE_OF.keys()
        if replaced:
            # An override that applies nowhere takes a package out (uv, "Dependency overrides").
            never = [f"{_IN_PLACE_OF[name]} ; sys_platform == 'none'" for name in sorted(replaced)]
            (folder / "overrides.txt").write_text("\n".join(never) + "\n", encoding="utf-8")
            arguments += ["--overrides", "overrides.txt"]
        try:
            text = uv.run(arguments, environment=environment, folder=folder, timeout=_SECONDS)
        except uv.UvError as error:
            raise _unresolvable(error, parsed.packages, python) from error
    return "".join(f"{line}\n" for line in parsed.options) + _pinned_lines(text, parsed.digests)


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
