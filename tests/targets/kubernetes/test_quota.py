"""Quotas: which of them have no room for the pods of a new revision."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cloche.targets.kubernetes import quota

EACH = {"requests.cpu": Decimal(1), "pods": Decimal(1)}


def _quota(resource: str, hard: str, used: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "team", "namespace": "models"},
        "spec": {},
        "status": {"hard": {resource: hard}, "used": {resource: used}},
    }


@pytest.mark.parametrize(
    ("resource", "hard", "used", "fit"),
    [
        ("requests.cpu", "4", "1", None),
        ("requests.cpu", "4", "2", None),
        ("requests.cpu", "4", "2500m", 1),
        ("requests.cpu", "1", "3", 0),
        ("requests.nvidia.com/gpu", "1", "3", None),
        ("services", "2", "5", None),
    ],
)
def test_a_quota_keeps_out_who_takes_of_what_is_short(
    resource: str, hard: str, used: str, fit: int | None
) -> None:
    errors = list(quota.problems([_quota(resource, hard, used)], EACH, 2, "scores", {}))
    said = [f"has room for {fit} of the 2 pods"] if fit is not None else []
    assert [each for error in errors for each in said if each in error.what] == said
    assert len(errors) == len(said)
