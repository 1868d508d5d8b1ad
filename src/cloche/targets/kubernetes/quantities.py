"""Quantities as Kubernetes writes them: `2`, `500m`, `4Gi`."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNITS: Mapping[str, Decimal | int] = {
    "": 1, "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("0.001"),
    "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip


def amount(text: str) -> Decimal | None:
    """Return the value of a quantity; None for text that is none."""
    number = text.rstrip("numkKMGTPEi")
    unit = _UNITS.get(text[len(number) :])
    try:
        return None if unit is None else Decimal(number) * unit
    except InvalidOperation:
        return None
