"""What a replica did since it started, by its own count."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

PATH = "/v2/models/stats"
"""Of all models: Triton's extension `statistics` of the KServe protocol."""


@dataclass(frozen=True, slots=True)
class Activity:
    """Requests that were answered with success."""

    completed: int
    mean_seconds: float
    """From the arrival of one to its answer, on average."""


def read(document: bytes | None) -> Activity | None:
    """Return the activity that a server tells of; None if it does not."""
    try:
        models = json.loads(document or b"")["model_stats"]
        counted = [_success(each) for each in models]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    completed = sum(count for count, _ in counted)
    seconds = sum(nanoseconds for _, nanoseconds in counted) / 1e9
    return Activity(completed, seconds / completed if completed else 0.0)


def _success(model: dict[str, Any]) -> tuple[int, int]:
    success = model.get("inference_stats", {}).get("success", {})
    return int(success.get("count", 0)), int(success.get("ns", 0))
