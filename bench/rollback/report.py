"""The page of the bench: one row for each time."""

from __future__ import annotations

import os
import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.rollback.measuring import Round

_ROWS = {
    "last": "from the route's change to the last answer of the revision that was left, s (aim ≤ 1)",
    "last_http": "of it over HTTP, s",
    "last_grpc": "of it over gRPC, s",
    "first": "from the route's change to the first answer of the other revision, s",
    "before": "from the start of the command to the route's change, s",
    "command": "the whole command, s",
}


def document(rounds: Sequence[Round]) -> str:
    """Return the page."""
    rows = "".join(
        _row(words, [each[key] for each in rounds])  # type: ignore[literal-required]
        for key, words in _ROWS.items()
    )
    answered, lost = sum(each["answered"] for each in rounds), sum(each["lost"] for each in rounds)
    return (
        "# A rollback in a cluster\n\n"
        f"`make bench-rollback`: {len(rounds)} times `cloche rollback` between two warm revisions"
        " of a small model, each of two pods of real Triton on two real nodes, behind Envoy"
        f" Gateway. All of it ran on one machine with {os.cpu_count()} processors, and so did three"
        " clients, two over HTTP and one over gRPC, that send their next request 10 ms after an"
        " answer. The route's change is the moment at which a watch of the API server showed it;"
        " the gateway hears of it in the same way. Below zero: no answer of the other revision"
        " came any more.\n\n| | median | spread |\n|---|---|---|\n"
        f"{rows}\n{answered:,} requests were answered, {lost} lost. The raw numbers:"
        " [rollback.json](rollback.json).\n"
    )


def _row(words: str, values: Sequence[float]) -> str:
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"| {words} | {middle:.3f} | {least:.3f} to {most:.3f} |\n"
