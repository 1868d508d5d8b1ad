"""The page of the bench: one row for each number of services."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

_HEAD = """\
# Many services in a cluster

Written by `make bench-kubernetes`: all services applied for the first time, applied again with
nothing to do, and planned with nothing to change, against a real API server with etcd on the same
machine; beside it `kubectl apply --server-side` of the same objects. Medians of {rounds} rounds,
with the least and the most. No pod runs.

| Services | Apply, s | kubectl, s | kubectl / Cloche | Apply again, ms each | Plan, ms each | \
of it our own | Memory, MiB |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def document(rounds: Sequence[dict[str, Any]]) -> str:
    """Return the page."""
    counts = sorted({each["services"] for each in rounds})
    rows = [_row([each for each in rounds if each["services"] == count]) for count in counts]
    shown = _HEAD.format(rounds=len(rounds) // len(counts))
    return shown + "\n".join(rows) + "\n\nThe raw numbers: [kubernetes.json](kubernetes.json).\n"


def _row(rounds: Sequence[dict[str, Any]]) -> str:
    count = rounds[0]["services"]
    cells = [
        str(count),
        _cell([each["apply"] for each in rounds], 1),
        _cell([each["kubectl"] for each in rounds], 1),
        _cell([each["kubectl"] / each["apply"] for each in rounds], 2),
        _cell([each["apply_again"] / count * 1e3 for each in rounds], 1),
        _cell([each["plan_median"] * 1e3 for each in rounds], 1),
        _cell([each["plan_own"] * 1e3 for each in rounds], 1),
        _cell([each["memory"] / 2**20 for each in rounds], 0),
    ]
    return f"| {' | '.join(cells)} |"


def _cell(values: Sequence[float], digits: int) -> str:
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({least:.{digits}f} to {most:.{digits}f})"
