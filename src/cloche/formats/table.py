"""The table of what is served, and of what is recognised and not served, from all formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.formats import measured
from cloche.formats.format import Foresight

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cloche.formats.format import Format
    from cloche.formats.measured import Measured
    from cloche.formats.variant import Variant


@dataclass(frozen=True, slots=True)
class Row:
    """A variant, and the measurement of one model of it."""

    format: str
    variant: Variant
    measured: Measured


@dataclass(frozen=True, slots=True)
class Unserved:
    """Something that is recognised and not served."""

    what: str
    remedy: str


def rows(formats: Iterable[Format]) -> Iterator[Row]:
    """Yield a row for each variant, in the order of the formats."""
    known = measured.read()
    for form in formats:
        for variant in form.variants:
            yield Row(form.name.value, variant, known[variant.name])


def unserved(formats: Iterable[Format]) -> Iterator[Unserved]:
    """Yield what the formats tell from their own models, each with what to do instead.

    A look-alike whose remedy names the path is a model in another place: it is served from there.
    """
    for form in formats:
        for lookalike in form.lookalikes:
            if isinstance(lookalike.remedy, str):
                yield Unserved(lookalike.what, lookalike.remedy)
        if isinstance(form, Foresight):
            for refusal in form.refused:
                what = refusal.what.removeprefix("This is ").partition(". ")[0].rstrip(".")
                yield Unserved(what, (refusal.hint or "").rstrip("."))
