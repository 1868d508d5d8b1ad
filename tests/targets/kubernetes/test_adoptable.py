"""What can be adopted and what is refused, from what a namespace has."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cloche.errors import ClocheError, ConflictError
from cloche.targets.kubernetes import adoptable, names
from cloche.targets.kubernetes.adoptable import Surroundings
from cloche.targets.kubernetes.objects import adopted as by_hand_objects
from fixtures import by_hand

AROUND = Surroundings([by_hand.pod("a"), by_hand.pod("b")], [], [])
Change = Callable[[dict[str, Any], dict[str, Any]], None]


def found(
    change: Change = lambda *_: None, around: Surroundings = AROUND, service: str = "triton"
) -> list[ClocheError]:
    workload, front = by_hand.running(by_hand.workload()), by_hand.front()
    change(workload, front)
    return [*adoptable.problems(service, workload, front, around)]


def test_what_tutorials_show_can_be_adopted() -> None:
    assert found() == []


def labelled(label: str, value: str) -> Change:
    return lambda workload, _: workload["metadata"].update(labels={label: value})


def noted(workload: dict[str, Any], _: dict[str, Any]) -> None:
    workload["metadata"]["annotations"] = {"argocd.argoproj.io/tracking-id": "x"}


def owned(workload: dict[str, Any], _: dict[str, Any]) -> None:
    workload["metadata"]["ownerReferences"] = [{"kind": "InferenceService", "name": "m"}]


def of_the_front(label: str, value: str) -> Change:
    return lambda _, front: front["metadata"].update(labels={label: value})


def front_has(**spec: Any) -> Change:
    return lambda _, front: front["spec"].update(spec)


def port(target: Any, number: int = 80) -> Change:
    return front_has(ports=[{"port": number, "targetPort": target}])


def rolling(workload: dict[str, Any], _: dict[str, Any]) -> None:
    workload["metadata"]["generation"] = 2


def partly(workload: dict[str, Any], _: dict[str, Any]) -> None:
    workload["status"]["updatedReplicas"] = 1


def called(name: str) -> Change:
    return lambda workload, _: workload["metadata"].update(name=name)


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (labelled("app.kubernetes.io/managed-by", "Helm"), "adopt.kept", "Helm keeps it"),
        (labelled("app.kubernetes.io/managed-by", "cloche"), "adopt.kept", "cloche keeps it"),
        (labelled("kustomize.toolkit.fluxcd.io/name", "a"), "adopt.kept", "Flux keeps it"),
        (noted, "adopt.kept", "Argo CD keeps it"),
        (owned, "adopt.kept", "InferenceService m keeps it"),
        (of_the_front("app.kubernetes.io/managed-by", "Helm"), "adopt.kept", "Service inference"),
        (front_has(clusterIP="None"), "adopt.headless", "is headless"),
        (front_has(publishNotReadyAddresses=True), "adopt.unready_addresses", "not ready"),
        (port(9000), "adopt.port", "leads to port 9000 of the pods"),
        (port("web"), "adopt.port", "leads to port web of the pods"),
        (front_has(ports=[{"port": 8080}]), "adopt.port", "leads to port 8080"),
        (rolling, "adopt.not_ready", "being rolled out"),
        (partly, "adopt.not_ready", "being rolled out"),
        (called("triton-r2"), "adopt.name", "the name of a later revision"),
    ],
)
def test_what_would_not_work_is_refused(change: Change, code: str, said: str) -> None:
    (error,) = found(change)
    assert error.code == code
    assert said in error.what
    assert error.hint


@pytest.mark.parametrize("target", [8000, "http"])
def test_a_port_may_be_named_as_those_of_cloche_are(target: Any) -> None:
    def change(workload: dict[str, Any], front: dict[str, Any]) -> None:
        (container,) = workload["spec"]["template"]["spec"]["containers"]
        container["ports"] = [{"name": "http", "containerPort": 8000}]
        port(target)(workload, front)

    assert found(change) == []


def test_all_reasons_are_said_at_once() -> None:
    def change(workload: dict[str, Any], front: dict[str, Any]) -> None:
        rolling(workload, front)
        port(9000)(workload, front)

    assert {error.code for error in found(change)} == {"adopt.not_ready", "adopt.port"}


def test_pods_of_something_else_would_lose_their_requests() -> None:
    around = replace(AROUND, others=[by_hand.pod("canary"), by_hand.pod("other", {"app": "b"})])
    (error,) = found(around=around)
    assert (error.code, "canary" in error.what, "other" in error.what) == (
        "adopt.shared",
        True,
        False,
    )


@pytest.mark.parametrize("pods", [[], [by_hand.pod("a", ready=False)]])
def test_nothing_that_answers(pods: list[dict[str, Any]]) -> None:
    (error,) = found(around=replace(AROUND, pods=pods))
    assert error.code == "adopt.not_ready"
    assert error.retriable


@pytest.mark.parametrize(
    ("name", "kind", "refused"),
    [
        ("triton", "Deployment", True),
        ("other", "Deployment", False),
        ("triton", "StatefulSet", False),
    ],
)
def test_an_autoscaler_of_someone_else(name: str, kind: str, refused: bool) -> None:
    scaler = {
        "kind": "HorizontalPodAutoscaler", "metadata": {"name": "hpa"},
        "spec": {"scaleTargetRef": {"kind": kind, "name": name}},
    }  # fmt: skip
    errors = found(around=replace(AROUND, scalers=[scaler]))
    assert [error.code for error in errors] == (["adopt.scaled"] if refused else [])


OTHER = by_hand.front("other", selector={"app": "other"})
SECOND = by_hand.front("second")


@pytest.mark.parametrize(
    ("services", "asked", "chosen"),
    [
        ([by_hand.front()], None, "inference"),
        ([by_hand.front(), OTHER], None, "inference"),
        ([by_hand.front(), SECOND], "second", "second"),
    ],
)
def test_the_service_before_it(services: list[Any], asked: str | None, chosen: str) -> None:
    found = adoptable.service_of(by_hand.workload(), services, asked)
    assert found["metadata"]["name"] == chosen


@pytest.mark.parametrize(
    ("services", "asked", "said"),
    [
        ([by_hand.front(), SECOND], None, "2 Services lead to Deployment triton"),
        ([OTHER], None, "No Service leads to Deployment triton"),
        ([by_hand.front(), OTHER], "other", "Service other does not lead"),
        ([by_hand.front("bare", selector=None)], None, "No Service leads"),
    ],
)
def test_no_one_service_before_it(services: list[Any], asked: str | None, said: str) -> None:
    with pytest.raises(ConflictError, match=said) as caught:
        adoptable.service_of(by_hand.workload(), services, asked)
    assert caught.value.code == "adopt.service"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("now", "after"),
    [
        (names.selector("digits", 2), by_hand.LABELS),
        (by_hand.LABELS, by_hand.LABELS),
        ({"app": "changed"}, None),
    ],
)
def test_a_service_is_given_back(now: dict[str, str], after: dict[str, str] | None) -> None:
    """But for a selector that somebody has changed since."""
    front = by_hand.front()
    front["metadata"] |= {
        "resourceVersion": "1", "annotations": {names.ADOPTED: '{"app": "triton"}'},
    }  # fmt: skip
    front["spec"]["selector"] = copy.deepcopy(now)
    body = by_hand_objects.given_back(front)
    merged = {
        key: value
        for key, value in (now | (body.get("spec") or {}).get("selector", {})).items()
        if value is not None
    }
    assert merged == (after or now)
    assert set(body["metadata"]["annotations"].values()) == {None}
