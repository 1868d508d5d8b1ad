"""Chooses one image among those that a source has, by its platform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from cloche.errors import ClocheError
from cloche.images import platforms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.images.image import Platform

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Candidate(Generic[T]):
    """An image that may be meant."""

    image: T
    platform: Platform
    digest: str | None
    """That of its manifest; None where it has none, so that no other is known to be the same."""
    label: str
    """What it is called among several."""


def choose(found: Iterable[Candidate[T]], wanted: Platform | None, where: str) -> T:
    """Return the image for a platform; without one the only one, or that of this machine.

    The same image under several names is one. Raises ClocheError `image.platform` where there is
    none for the platform, and `image.several`.
    """
    several = list(found)
    there = {each.platform for each in several}
    if wanted is None and len(there) > 1:
        wanted = platforms.here()
    fitting = [each for each in several if wanted in {None, each.platform}]
    if not fitting:
        known = ", ".join(sorted(map(str, there))) or "none that is named"
        raise _other_platform(where, wanted or platforms.here(), known)
    if len(fitting) > 1 and len({each.digest or id(each) for each in fitting}) > 1:
        raise ambiguous((each.label for each in fitting), where)
    return fitting[0].image


def ambiguous(labels: Iterable[str], where: str) -> ClocheError:
    """Return the error for several images of which none is named."""
    return ClocheError(
        "image.several",
        f"It holds several images: {', '.join(sorted(labels))}.",
        where=where,
        hint=f"Write one as oci:{where}:NAME; of several platforms name one with --platform.",
    )


def _other_platform(where: str, wanted: Platform, there: str) -> ClocheError:
    return ClocheError(
        "image.platform",
        f"There is no image for {wanted}, only for {there}.",
        where=where,
        hint="Name one of these platforms with --platform, or an image that has it:"
        " `cloche image build --platform` makes one.",
    )
