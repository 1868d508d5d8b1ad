"""The route of a service: what its requests may take."""

from __future__ import annotations

import pytest

from cloche.artifacts import Exposure
from cloche.targets.kubernetes.objects import route


def timeouts(seconds: float | None) -> dict[str, object]:
    made = route.of(
        "digits", "vision", ["digits"], {1: 100}, Exposure(gateway="a/b", host="h"), timeout=seconds
    )
    return {rule["name"]: rule.get("timeouts") for rule in made["spec"]["rules"]}


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(8.0, "8s"), (0.25, "250ms"), (1.5, "1s500ms"), (86_400.0, "86400s")],
)
def test_requests_over_http_have_the_limit_of_the_service(seconds: float, written: str) -> None:
    found = timeouts(seconds)
    assert found.pop("http") == {"request": written}
    assert set(found.values()) == {None}


def test_without_a_limit_the_gateway_waits_as_it_does_by_itself() -> None:
    assert set(timeouts(None).values()) == {None}
