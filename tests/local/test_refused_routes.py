"""Routes that a real Envoy refuses, as the engine and the user see them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest

from cloche import composition, testing
from cloche.artifacts import Standing
from cloche.control import Engine
from cloche.targets.local import joining
from cloche.targets.local.envoy.services import GatewayState
from cloche.targets.local.target import LocalTarget
from fixtures.asking import NO_WAIT, ask
from fixtures.local import LocalHome, until

pytestmark = pytest.mark.timeout(300)
REFUSED = "bad"


def with_a_fault(state: GatewayState) -> GatewayState:
    """Give one service weights that together are more than Envoy counts."""

    def broken(service):
        revisions = [replace(each, weight=2**32 - 1) for each in service.revisions]
        more = [replace(each, revision=each.revision + 1000) for each in revisions]
        return replace(service, revisions=(*revisions, *more))

    return GatewayState(
        tuple(broken(each) if each.name == REFUSED else each for each in state.services)
    )


def test_a_refused_service_fails_at_once_with_envoys_words_and_others_go_on(
    local_home: LocalHome,
    local_target: Callable[..., LocalTarget],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = joining.gateway_state
    monkeypatch.setattr(
        "cloche.targets.local.routing.gateway_state", lambda *given: with_a_fault(whole(*given))
    )

    def deployment(service: str, factor: int):
        repository = local_home.repository(service, factor=factor)
        made = testing.deployment(service, str(factor))
        return replace(made, repository=repository)

    target = local_target()
    with (
        closing(composition.state(local_home.settings)) as state,
        closing(composition.journal(local_home.settings)) as journal,
    ):
        target.start(())
        engine = Engine(state, journal, target, testing.FixedVerifier(), by="me@here")
        with engine.running():
            engine.deploy(deployment("good", 2))
            until(lambda: engine.service("good")["phase"] == "live", 60)
            engine.deploy(deployment(REFUSED, 3))
            until(lambda: engine.revision(REFUSED, 1).phase is not Standing.PENDING, 60)
            until(lambda: engine.revision(REFUSED, 1).phase is Standing.SHIFTING, 60)
            began = time.monotonic()
            until(lambda: engine.revision(REFUSED, 1).phase is Standing.FAILED, 60)
            assert time.monotonic() - began < 20
            failure = engine.service(REFUSED)["failure"]
            assert failure["code"] == "gateway.refused"
            assert "sum of weights" in failure["what"]
            engine.deploy(deployment("good", 5))
            until(lambda: engine.service("good")["live"] == 2, 60)
            answer = ask(target.gateway().http, "good")
            assert (answer.status, answer.data) == (200, (5 * NO_WAIT,))
            engine.delete(REFUSED)
            until(lambda: REFUSED not in state.services(), 60)
