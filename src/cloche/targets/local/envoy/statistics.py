"""What a process of the gateway counts of the requests to each revision, since it started.

Names and meaning are Envoy's:
https://www.envoyproxy.io/docs/envoy/latest/configuration/upstream/cluster_manager/cluster_stats
https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/grpc_stats_filter
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Json = dict[str, Any]
Key = tuple[str, int]
"""A service and the number of a revision."""

MERGED_EVERY = 2
"""Seconds after which Envoy puts together the times that each of its threads measured."""

_ANSWERED = "upstream_rq_completed"
_TIME = "upstream_rq_time"
_ALL_ERRORS = "upstream_rq_5xx"
_LOST_HTTP = ("upstream_rq_503", "upstream_rq_504")
_LOST_GRPC = ("grpc.14", "grpc.4")
"""UNAVAILABLE and DEADLINE_EXCEEDED are over gRPC what 503 and 504 are."""
_ERRORS_GRPC = ("grpc.2", "grpc.12", "grpc.13", "grpc.15")
"""UNKNOWN, UNIMPLEMENTED, INTERNAL and DATA_LOSS: what the caller sent is not to blame."""
_CLUSTER = r"cluster\.([a-z0-9-]+)\.r([0-9]+)\.(http|grpc)\."
_NAME = re.compile(rf"{_CLUSTER}(.+)")
_HTTP = "|".join((_ANSWERED, _TIME, _ALL_ERRORS, *_LOST_HTTP))
_GRPC = "|".join((*_LOST_GRPC, *_ERRORS_GRPC)).replace(".", r"\.")
PATTERN = f"{_CLUSTER}({_HTTP}|{_GRPC})"
"""The statistics that are kept; each costs time in each request."""


@dataclass
class Counts:
    """What was counted of a revision, or how it grew."""

    answered: int = 0
    errors: int = 0
    """Answers 5xx, and what gRPC has for them, other than those of `lost`."""
    lost: int = 0
    """Answers 503 and 504, and UNAVAILABLE and DEADLINE_EXCEEDED: nobody answered, or too late."""
    times: Counter[float] = field(default_factory=Counter)
    """How many requests took how many milliseconds, each time accurate to two digits."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.answered + other.answered,
            self.errors + other.errors,
            self.lost + other.lost,
            self.times + other.times,
        )

    def since(self, before: Counts) -> Counts:
        """Return by how much the counts have grown."""
        return Counts(
            self.answered - before.answered,
            self.errors - before.errors,
            self.lost - before.lost,
            self.times - before.times,
        )

    def quantile(self, share: float) -> float | None:
        """Return the milliseconds within which a share of the requests ended; None if none did."""
        rank, passed = share * self.times.total(), 0
        for time, count in sorted(self.times.items()):
            passed += count
            if passed >= rank:
                return time
        return None


def counts_in(document: Json) -> dict[Key, Counts]:
    """Return the counts in an answer of `/stats?format=json&histogram_buckets=detailed`."""
    found: dict[Key, Counts] = {}
    for entry in document.get("stats", []):
        if "histograms" in entry:
            _add_times(found, entry["histograms"].get("details", []))
        elif match := _NAME.fullmatch(entry.get("name", "")):
            counts = found.setdefault(_key(match), Counts())
            _add(counts, match[3], match[4], int(entry.get("value", 0)))
    return found


def _add(counts: Counts, protocol: str, what: str, value: int) -> None:
    """Add a counter; the errors of gRPC are counted by its own status alone."""
    http = protocol == "http"
    lost = what in (_LOST_HTTP if http else _LOST_GRPC)
    counts.answered += value if what == _ANSWERED else 0
    counts.lost += value if lost else 0
    if http:
        counts.errors += value if what == _ALL_ERRORS else -value if lost else 0
    else:
        counts.errors += value if what in _ERRORS_GRPC else 0


def _add_times(found: dict[Key, Counts], histograms: Iterable[Json]) -> None:
    for histogram in histograms:
        match = _NAME.fullmatch(histogram.get("name", ""))
        if match is None or match[4] != _TIME:
            continue
        times = found.setdefault(_key(match), Counts()).times
        for bucket in histogram.get("totals", []):
            # Envoy measures whole milliseconds, and has a bucket for each of the first hundred.
            middle = bucket["lower_bound"] + bucket["width"] // 2
            times[float(middle)] += int(bucket["count"])


def _key(match: re.Match[str]) -> Key:
    return match[1], int(match[2])


def grown(now: Mapping[Key, Counts], before: Mapping[Key, Counts]) -> dict[Key, Counts]:
    """Return what was counted since an earlier look at the same process."""
    none = Counts()
    return {key: counts.since(before.get(key, none)) for key, counts in now.items()}
