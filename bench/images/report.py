"""The page of the images: medians with the spread of the rounds, and the aims beside them."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BUILDERS = {"cloche": "`cloche image build --push`", "buildah": "`buildah bud`, push",
             "docker": "`docker build`, push"}  # fmt: skip
_MB = 10**6


def document(figures: Mapping[str, Any]) -> str:
    """Return the page in Markdown."""
    rounds = figures["rounds"]
    head = (
        f"`make bench-images`: {len(rounds)} rounds. From a model of {figures['megabytes']} MB in"
        " ten files of random bytes to an image in a registry (distribution 3.1.2) on loopback, on"
        " Cloche's own base, which the registry and each builder have; each round pushes to new"
        " repositories. Cloche has the model in its store and knows what it is, as after `cloche"
        " plan`. A cell has the median of the rounds and their spread.\n"
    )
    columns = (
        "| | first version, s | against the copy | same again, s | one file changed, s"
        " | bytes stored for it, of the file's | memory, MB |"
    )
    lines = ["# Images\n", head, columns, "|---|---:|---:|---:|---:|---:|---:|"]
    for name, title in _BUILDERS.items():
        first = [each[name]["first"]["seconds"] for each in rounds]
        cells = [
            spread(first),
            spread([each[name]["first"]["seconds"] / each["floor"] for each in rounds]),
            spread([each[name]["same"]["seconds"] for each in rounds]),
            spread([each[name]["changed"]["seconds"] for each in rounds]),
            spread([each[name]["changed"]["stored"] / each["changed"] for each in rounds], 3),
            spread([each[name]["first"]["memory"] / _MB for each in rounds], 0),
        ]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    lines += [
        f"| copy with sha256, synced | {spread([each['floor'] for each in rounds])} | | | | | |\n",
        _against(rounds),
    ]
    if large := figures.get("large"):
        lines.append(
            f"A model of {large['megabytes']} MB: {large['seconds']:.1f} s,"
            f" {large['memory'] / _MB:.0f} MB of memory at most (aim: 150).\n"
        )
    return "\n".join(lines)


def _against(rounds: Sequence[Mapping[str, Any]]) -> str:
    ratios = {
        name: spread([
            each[name]["first"]["seconds"] / each["cloche"]["first"]["seconds"] for each in rounds
        ])
        for name in ("buildah", "docker")
    }  # fmt: skip
    return (
        f"First version, against Cloche in the same round: buildah {ratios['buildah']} times as"
        f" long (aim: 10), docker {ratios['docker']}. Memory is that of the largest process that"
        " the command ran; docker's engine works in another, which is not counted.\n"
    )


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return `1.23 (1.20 to 1.31)`."""
    middle, least, most = (
        f"{each:.{digits}f}" for each in (median(values), min(values), max(values))
    )
    return f"{middle} ({least} to {most})"
