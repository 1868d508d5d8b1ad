"""Some thousand mutated requests to the gateway, with real Triton behind it (`make fuzz`: more)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fixtures.triton import TritonStarter
from gateway_fuzz import grpc_messages, http_requests
from gateway_fuzz.running import Plan, run
from gateway_fuzz.serving import serving

REQUESTS = 4000


@pytest.mark.timeout(300)
def test_no_request_ends_a_replica(triton_starter: TritonStarter, tmp_path: Path) -> None:
    with serving(triton_starter, tmp_path) as (address, watched):
        report = run(Plan(REQUESTS, seed=14, seconds=240), address, "double", watched)
    answered = report["answers"]
    assert report["requests"] >= REQUESTS // 10
    assert {"HTTP structure", "HTTP binary", "HTTP shapes", "gRPC", "gRPC, cancelled"} <= set(
        answered
    )
    assert answered["HTTP structure"]["200"] > 0
    assert not any("none in time" in by_status for by_status in answered.values())


def test_a_seed_makes_the_same_requests_again() -> None:
    def made(seed: int) -> list[object]:
        chance = random.Random(seed)
        requests = [http_requests.make(chance, "m") for _ in range(50)]
        return [*requests, *(grpc_messages.make(chance, "m").metadata for _ in range(50))]

    assert made(3) == made(3)
    assert made(3) != made(4)
