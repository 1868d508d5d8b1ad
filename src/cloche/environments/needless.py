"""Packages that servers without a GPU never need, though others ask for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.artifacts import Finding, Severity
from cloche.units import size_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    from cloche.environments.pins import Pin


@dataclass(frozen=True, slots=True)
class _Needless:
    """Packages by their names, which only some others ask for, and those do without."""

    names: re.Pattern[str]
    asked_by: frozenset[str]
    why: str


_TABLE = (
    _Needless(
        re.compile(r"nvidia-nccl-cu\d+"),
        frozenset({"xgboost"}),
        "XGBoost opens it only to train on several GPUs",
    ),
    # Everything else that PyTorch's build for CUDA asks for is linked to it: without one of these
    # libraries it does not load.
    _Needless(
        re.compile(r"triton|cuda-bindings"),
        frozenset({"torch"}),
        "PyTorch compiles for GPUs with it",
    ),
)
_OF_CUDA = re.compile(
    r"nvidia-(cu(blas|da-[a-z]+|dnn|fft|file|rand|solver|sparse|sparselt)|nccl|nvjitlink|nvshmem"
    r"|nvtx)(-cu\d+)?|cuda-(bindings|pathfinder|toolkit)|(pytorch-)?triton"
)
"""What a list of installed packages from a machine with a GPU has, and nothing here asks for."""


def left_out(pins: Sequence[Pin]) -> dict[str, str]:
    """Return why packages of a lock are not needed, by their names."""
    on_cpus = any(pin.name == "torch" and "+cpu" in pin.requirement for pin in pins)
    reasons: dict[str, str] = {}
    before = -1
    while len(reasons) > before:  # a package may be asked for by one that is left out
        before = len(reasons)
        for pin in pins:
            why = _reason(pin, reasons.keys(), on_cpus=on_cpus)
            if why is not None:
                reasons[pin.name] = why
    return reasons


def _reason(pin: Pin, gone: Set[str], *, on_cpus: bool) -> str | None:
    asking = pin.asked_by - gone
    for row in _TABLE:
        if pin.asked_by and asking <= row.asked_by and row.names.fullmatch(pin.name):
            return row.why
    if on_cpus and not asking and _OF_CUDA.fullmatch(pin.name):
        return "PyTorch's build for CPUs does not use it"
    return None


def finding(reasons: Mapping[str, str], sizes: Mapping[str, int]) -> Finding:
    """Return what tells which packages are left out, and the bytes that this saves."""
    by_reason: dict[str, list[str]] = {}
    for name, why in reasons.items():
        by_reason.setdefault(why, []).append(name)
    saved = sum(sizes.get(name, 0) for name in reasons)
    listed = "; ".join(f"{', '.join(names)} ({why})" for why, names in by_reason.items())
    size = f", which saves {size_text(saved)}" if saved else ""
    return Finding(
        Severity.NOTE,
        "environment.left_out",
        f"The model's environment is made without what CPUs never need{size}: {listed}.",
    )
