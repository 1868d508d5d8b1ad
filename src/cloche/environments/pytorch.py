"""PyTorch in its build for CPUs, which stands on an index of its own.

The package index has the build for CUDA, with gigabytes of libraries that a server without a GPU
never opens. uv knows PyTorch's own index and which packages it takes from there
(`--torch-backend`). From a mirror of it only the packages of `_FAMILY` are taken (uv: `explicit`),
so that it can put nothing in the place of another package.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche.artifacts import Finding, Severity
from cloche.environments.compilation import NO_SOURCE, Source
from cloche.environments.requirements import Requirements
from cloche.errors import ClocheError
from cloche.settings import PYTORCH_INDEX
from cloche.units import size_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cloche.environments.compilation import Compiler
    from cloche.environments.pins import Pin
    from cloche.store import Store

_BACKEND = "UV_TORCH_BACKEND"
_OWN = PYTORCH_INDEX.removesuffix("cpu")
"""What the addresses of all of PyTorch's own indexes begin with."""
_FROM_OWN = Source(("--torch-backend", "cpu"))
_FAMILY = ("torch", "torchvision", "torchaudio")
"""The packages whose builds for CPUs fit each other alone."""
_BUILD = re.compile(r"(?<===)\s*([^\s;+#,]+)\+(?:cpu|xpu|cu\d+|rocm[\d.]+)\b", re.ASCII)
"""A version with the name of a build; without it, `==` takes any build of the version."""
_OF_GPUS = re.compile(r"(nvidia|cuda)-.*")
_PROBE_SECONDS = 10.0
_KIND, _KEY = "unreached", "pytorch"
_BELIEVED_SECONDS = 3600.0
_UNREACHED = frozenset({"environment.network", "environment.timeout", "environment.access"})
"""Codes of errors that tell that an index cannot be read from here."""
_NOT_REACHED = "PyTorch's index of builds for CPUs was not reached."


@dataclass(frozen=True, slots=True)
class Built:
    """The packages of a lock, in the builds that are installed."""

    pins: tuple[Pin, ...]
    source: Source = NO_SOURCE
    pages: tuple[str, ...] = ()
    """Options that a lock contains: the pages of packages that are on no other index of it."""
    missing: str | None = None
    """Why PyTorch is in its build for CUDA, as a sentence; None if it is not, or was chosen."""


def installing(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for uv when it installs a lock, which names where its builds are."""
    return {name: value for name, value in environment.items() if name != _BACKEND}


def choice(environment: Mapping[str, str], index: str | None) -> str:
    """Return what builds are chosen by: uv's backend, a mirror, a GPU; empty if by nothing."""
    if index is None:
        index = "gpu"
    return environment.get(_BACKEND) or ("" if index == PYTORCH_INDEX else index)


def serves_on_cpus(environment: Mapping[str, str], index: str | None) -> bool:
    """Return whether nothing says that a GPU is used: neither the model nor the user's backend."""
    return index is not None and environment.get(_BACKEND, "") in {"", "cpu"}


def without_builds(parsed: Requirements) -> Requirements:
    """Return requirements that ask for `torch==2.7.0` where they name a build, `2.7.0+cu126`."""

    def released(lines: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_BUILD.sub(r"\1", line) for line in lines)

    return replace(
        parsed, packages=released(parsed.packages), constraints=released(parsed.constraints)
    )


def for_cpus(
    parsed: Requirements, pins: tuple[Pin, ...], compiler: Compiler, index: str | None, store: Store
) -> Built:
    """Return the packages with PyTorch in its build for CPUs, where that can be had.

    `pins` are those that the user's indexes give. What the user chose is kept: uv's backend, an
    index whose builds are for CPUs, recorded digests. Without `index` all is kept. Raises
    ClocheError `environment.network` if a mirror does not answer.
    """
    if compiler.environment.get(_BACKEND):
        return Built(pins, pages=_pages(pins, _OWN))
    if index is None or not _is_for_gpus(pins) or "torch" in parsed.digests:
        return Built(pins)
    mirrored = index != PYTORCH_INDEX
    if not mirrored and not _is_reached(compiler, store):
        return Built(pins, missing=_NOT_REACHED)
    source = _from_mirror(index, pins) if mirrored else _FROM_OWN
    try:
        built = compiler.pin(without_builds(parsed), source)
    except ClocheError as error:
        if error.code not in _UNREACHED:
            return Built(pins, missing=f"No build of PyTorch for CPUs can be used. {error.what}")
        if mirrored:
            raise
        return Built(pins, missing=_NOT_REACHED)
    return Built(built, source, _pages(built, index))


def findings(built: Built, asked: Requirements, sizes: Mapping[str, int]) -> tuple[Finding, ...]:
    """Return what a user should know about the build of PyTorch."""
    family = [pin.requirement for pin in built.pins if pin.name in _FAMILY]
    named = [line.partition(" ")[0] for line in asked.packages if _BUILD.search(line)]
    other = [requirement for requirement in named if requirement not in family]
    instead = f" {', '.join(other)} was asked for: the same release in another build."
    more = instead if other else ""
    if built.missing is not None:
        gpus = [pin.name for pin in built.pins if _OF_GPUS.fullmatch(pin.name)]
        total = sum(sizes.get(name, 0) for name in ("torch", *gpus))
        size = f", {size_text(total)} to download" if total else ""
        return (
            Finding(
                Severity.WARNING,
                "environment.cuda_build",
                f"{built.missing} The package index has its build for CUDA{size}: it runs on CPUs"
                f" as well.{more}",
                hint=f"Name a mirror of {PYTORCH_INDEX} in"
                " environments.pytorch_index (CLOCHE_ENVIRONMENTS_PYTORCH_INDEX), or set"
                " UV_TORCH_BACKEND=cpu once that is reached: the model is then locked anew.",
            ),
        )
    if not built.pages and not more:
        return ()
    what = f"PyTorch is installed in the build that serves here: {', '.join(family)}.{more}"
    return (Finding(Severity.NOTE, "environment.pytorch_build", what),)


def _is_for_gpus(pins: Sequence[Pin]) -> bool:
    return any("torch" in pin.asked_by and _OF_GPUS.fullmatch(pin.name) for pin in pins)


def _is_reached(compiler: Compiler, store: Store) -> bool:
    """Return whether PyTorch's own index answers; that it does not is believed for an hour."""
    remembered = store.recall(_KIND, _KEY)
    if remembered is not None and 0 <= time.time() - json.loads(remembered) < _BELIEVED_SECONDS:
        return False
    # uv tries for 20 s before it gives up.
    once = {**compiler.environment, "UV_HTTP_RETRIES": "0"}
    parsed = Requirements(("torch",), (), (), ())
    try:
        replace(compiler, environment=once, limit=_PROBE_SECONDS).pin(
            parsed, replace(_FROM_OWN, arguments=(*_FROM_OWN.arguments, "--no-deps"))
        )
    except ClocheError as error:
        if error.code in _UNREACHED:
            store.remember(_KIND, _KEY, json.dumps(time.time()).encode())
            return False
    return True


def _from_mirror(mirror: str, pins: Sequence[Pin]) -> Source:
    names = [pin.name for pin in pins if pin.name in _FAMILY]
    sources = (f'{name} = {{ index = "pytorch-cpu" }}' for name in names)
    lines = (
        "[project]", 'name = "model"', 'version = "0"', f"dependencies = {json.dumps(names)}",
        "[tool.uv.sources]", *sources,
        "[[tool.uv.index]]", 'name = "pytorch-cpu"', f"url = {json.dumps(mirror)}",
        "explicit = true",
    )  # fmt: skip
    return Source(("pyproject.toml",), {"pyproject.toml": lines})


def _pages(pins: Sequence[Pin], index: str) -> tuple[str, ...]:
    """Return the options that name the pages of packages from an index, and no other package's."""
    folders = {pin.name: f"{pin.index.rstrip('/')}/" for pin in pins if pin.index is not None}
    return tuple(
        f"--find-links {folder}{name}/"
        for name, folder in folders.items()
        if folder.startswith(f"{index.rstrip('/')}/")
    )
