"""NVIDIA's containers of Triton: what their labels do not say, by release.

From build.py and docs/introduction/compatibility.md of triton-inference-server/server, at the
branch of each release: Ubuntu 22.04 with Python 3.10 up to 24.10, and 24.04 with 3.12 from then on.
The fixes are those of NVIDIA's security bulletins of 2026.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cloche.errors import UsageError

OLDEST = "26.07"
"""The oldest release that NVIDIA's bulletin 5875 leaves in use."""
_FIXED = {"CVE-2026-24207": "26.03", "CVE-2026-47481": "26.05", "CVE-2026-47627": "26.06"}
"""Open doors, and the first release without them."""
_SYSTEMS = (("22.05", "24.10", "3.10", "2.35"), ("24.11", "26.08", "3.12", "2.39"))
"""First and last release that were looked at, with their Python and their C library."""
_RELEASE = re.compile(r"(\d\d\.\d\d)(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Release:
    """What a release holds."""

    pythons: tuple[str, ...]
    """The one that it has; none for a release that was not looked at."""
    glibc: str | None
    insecure: str | None
    """Why it should not be used any more."""


def image(release: str) -> str:
    """Return the image of a release (`26.07`)."""
    return f"nvcr.io/nvidia/tritonserver:{release}-py3"


IMAGE = image(OLDEST)
"""The base where none is named."""


def asked_for(release: str | None) -> str:
    """Return the base where none is named and a release may be asked for.

    Raises UsageError `image.release` for one of which nothing is known.
    """
    if release is None:
        return IMAGE
    if not known(release).pythons:
        raise UsageError(
            "image.release",
            f"Nothing is known of Triton {release}: which Python and C library its image has.",
            where="server.release",
            hint=f"Name one from {_SYSTEMS[0][0]} to {_SYSTEMS[-1][1]}, or a base that says by its"
            " labels what it holds.",
        )
    return image(release)


def known(name: str | None) -> Release:
    """Return what is known of a release (`26.07`); nothing of one in another form."""
    found = _RELEASE.fullmatch(name or "")
    if found is None:
        return Release((), None, None)
    release = found[1]  # two digits each: their order is that of the text
    for first, last, python, glibc in _SYSTEMS:
        if first <= release <= last:
            return Release((python,), glibc, _insecure(release))
    return Release((), None, _insecure(release))


def _insecure(release: str) -> str | None:
    if release >= OLDEST:
        return None
    open_doors = [name for name, fixed in _FIXED.items() if release < fixed]
    named = f" ({', '.join(open_doors)})" if open_doors else ""
    return (
        f"Triton {release} is older than the security fixes of {OLDEST}{named}: take {OLDEST} or"
        " newer, or let only trusted networks reach it"
    )
