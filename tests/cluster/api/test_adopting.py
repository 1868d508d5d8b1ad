"""Objects made by hand against a real API server: adopted, led elsewhere, and given back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from test_kubernetes_target import Held, placed, target

from cloche.artifacts import ModelRepository, Operated, ReplicaRange
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster
from cloche.clients.kubernetes.kinds import Kind
from cloche.errors import ClocheError, ConflictError, NotFoundError
from cloche.targets import ApplyError, Desired, Placement
from cloche.targets.kubernetes import adoption, names
from cluster.harness.api_server import ApiServer
from fixtures import by_hand

Adopt = Callable[..., Desired]
_LABELLED = {"app.kubernetes.io/managed-by": "cloche", names.SERVICE: "digits"}


def there(cluster: Cluster, namespace: str, kind: Kind, name: str) -> dict[str, Any]:
    found = cluster.get(kind, name, namespace)
    assert found is not None
    return found


def selector(cluster: Cluster, namespace: str) -> dict[str, str]:
    front = there(cluster, namespace, kinds.SERVICE, by_hand.FRONT)
    chosen: dict[str, str] = front["spec"]["selector"]
    return chosen


@pytest.fixture
def found(api_cluster: Cluster, api_server: ApiServer, namespace: str) -> adoption.Found:
    """Make objects with kubectl, with pods that are as if a kubelet ran them, and find them."""
    bodies = [by_hand.workload(), by_hand.front(), by_hand.pod("one"), by_hand.pod("two")]
    for body in bodies:
        api_server.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(body))
    for name in ("one", "two"):
        status = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        api_cluster.patch(kinds.POD, name, namespace, status, subresource="status")
    status = {"status": {
        "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2,
        "availableReplicas": 2,
    }}  # fmt: skip
    api_cluster.patch(kinds.DEPLOYMENT, by_hand.WORKLOAD, namespace, status, subresource="status")
    return adoption.find(api_cluster, namespace, "digits", by_hand.WORKLOAD, None)


@pytest.fixture
def adopt(found: adoption.Found) -> Adopt:
    """Return what a service should be whose first revision was adopted."""
    replicas = ReplicaRange.exactly(2)
    operated = Operated(replicas=replicas, front=found.front)
    first = Placement(
        "digits", 1, ModelRepository("digits", "", (), ()), replicas, 60, adopted=found.adopted
    )

    def desired(
        *others: Placement, split: int | None = 1, first: Placement | None = first
    ) -> Desired:
        shares = {} if split is None else {split: 100}
        placements = (*([first] if first else []), *others)
        return Desired("digits", placements, shares, operated)

    return desired


def test_it_is_found(found: adoption.Found, namespace: str) -> None:
    assert (found.adopted.deployment, found.adopted.replicas) == (by_hand.WORKLOAD, 2)
    assert (found.front.name, dict(found.front.selector)) == (by_hand.FRONT, by_hand.LABELS)
    assert found.address == f"{by_hand.FRONT}.{namespace}.svc"
    assert found.is_grpc_led_to
    assert found.pod in {"one", "two"}


def test_only_labels_and_notes_are_set(api_cluster: Cluster, namespace: str, adopt: Adopt) -> None:
    workload = there(api_cluster, namespace, kinds.DEPLOYMENT, by_hand.WORKLOAD)
    front = there(api_cluster, namespace, kinds.SERVICE, by_hand.FRONT)
    here = target(api_cluster, namespace)
    here.apply(adopt())
    after = there(api_cluster, namespace, kinds.DEPLOYMENT, by_hand.WORKLOAD)
    assert after["spec"] == workload["spec"]
    assert after["metadata"]["labels"] == _LABELLED | {names.REVISION: "1"}
    assert there(api_cluster, namespace, kinds.SERVICE, by_hand.FRONT)["spec"] == front["spec"]
    assert not api_cluster.list(kinds.NETWORK_POLICY, namespace).items
    observed = here.observe("digits")
    assert dict(observed.split) == {1: 100}
    assert len(observed.ready(1)) == 2
    assert observed.endpoint.http == f"http://{by_hand.FRONT}.{namespace}.svc:80"
    assert observed.endpoint.grpc == f"{by_hand.FRONT}.{namespace}.svc:8001"
    version = after["metadata"]["resourceVersion"]
    here.apply(adopt())
    again = there(api_cluster, namespace, kinds.DEPLOYMENT, by_hand.WORKLOAD)
    assert again["metadata"]["resourceVersion"] == version
    assert here.compare(adopt()) == ()


def test_the_selector_moves_and_comes_back(
    api_cluster: Cluster, namespace: str, adopt: Adopt
) -> None:
    """Although kubectl owns it: the adoption was the yes."""
    here, second = target(api_cluster, namespace), placed(number=2)
    here.apply(adopt())
    changes = here.compare(adopt(second, split=2))
    (moved,) = (each for each in changes if each.name == by_hand.FRONT)
    assert [field.owner for field in moved.fields] == [None] * len(moved.fields)
    here.apply(adopt(second, split=2))
    assert selector(api_cluster, namespace) == names.selector("digits", 2)
    assert dict(here.observe("digits").split) == {2: 100}
    policy = there(api_cluster, namespace, kinds.NETWORK_POLICY, "digits")
    assert "from" not in policy["spec"]["ingress"][0]
    assert api_cluster.get(kinds.SERVICE, "digits", namespace) is None
    here.apply(adopt(second))
    assert selector(api_cluster, namespace) == by_hand.LABELS
    here.apply(adopt(first=None, split=2))
    here.apply(adopt(second, first=None, split=2))
    workload = there(api_cluster, namespace, kinds.DEPLOYMENT, by_hand.WORKLOAD)
    assert workload["spec"]["replicas"] == 2


def test_a_selector_that_somebody_changed_since_is_asked_about(
    api_cluster: Cluster, api_server: ApiServer, namespace: str, adopt: Adopt
) -> None:
    here, second = target(api_cluster, namespace), placed(number=2)
    here.apply(adopt(second))
    patch = '{"spec": {"selector": {"app": "elsewhere"}}}'
    api_server.kubectl("patch", "service", by_hand.FRONT, "-n", namespace, "-p", patch)
    changes = here.compare(adopt(second, split=2))
    (moved,) = (each for each in changes if each.name == by_hand.FRONT)
    assert "kubectl-patch" in {field.owner for field in moved.fields}
    with pytest.raises(ApplyError):
        here.apply(adopt(second, split=2))
    here.take_over()
    here.apply(adopt(second, split=2))
    assert selector(api_cluster, namespace) == names.selector("digits", 2)


def test_a_delete_gives_it_back(api_cluster: Cluster, namespace: str, adopt: Adopt) -> None:
    before = {
        kind: there(api_cluster, namespace, kind, name)
        for kind, name in ((kinds.DEPLOYMENT, by_hand.WORKLOAD), (kinds.SERVICE, by_hand.FRONT))
    }
    here, second = target(api_cluster, namespace), placed(number=2)
    here.apply(adopt(second, split=2))
    here.apply(adopt(second, first=None, split=None))
    assert selector(api_cluster, namespace) == by_hand.LABELS
    assert dict(here.observe("digits").split) == {}
    here.apply(adopt(first=None, split=None))
    for kind, body in before.items():
        after = there(api_cluster, namespace, kind, body["metadata"]["name"])
        assert after["spec"] == body["spec"]
        assert after["metadata"].get("labels") == body["metadata"].get("labels")
        assert after["metadata"]["annotations"] == body["metadata"]["annotations"] | {
            key: value
            for key, value in after["metadata"]["annotations"].items()
            if not key.startswith("cloche.dev/")
        }
        assert not any(key.startswith("cloche.dev/") for key in after["metadata"]["annotations"])


def test_its_replicas(
    api_cluster: Cluster, api_server: ApiServer, namespace: str, adopt: Adopt
) -> None:
    """`cloche scale` sets them, a number of someone else's stays, and none at all is too few."""
    here, wanted = target(api_cluster, namespace), adopt()
    (first,) = wanted.placements
    here.apply(wanted)
    for asked, now, after in ((3, 2, 3), (2, 5, 5), (2, 0, 2)):
        words = ("scale", f"deployment/{by_hand.WORKLOAD}", f"--replicas={now}", "-n", namespace)
        api_server.kubectl(*words)
        replicas = ReplicaRange.exactly(asked)
        here.apply(replace(wanted, placements=(replace(first, replicas=replicas),)))
        workload = there(api_cluster, namespace, kinds.DEPLOYMENT, by_hand.WORKLOAD)
        assert workload["spec"]["replicas"] == after


def test_one_that_was_changed_or_made_anew_is_not_it(
    api_cluster: Cluster, api_server: ApiServer, namespace: str, adopt: Adopt
) -> None:
    here = target(api_cluster, namespace)
    here.apply(adopt())
    here.admit(adopt())
    image = f"deployment/{by_hand.WORKLOAD}"
    api_server.kubectl("set", "image", image, "triton=other:1", "-n", namespace)
    with pytest.raises(ConflictError, match="were changed after it was adopted"):
        here.admit(adopt())
    api_server.kubectl("delete", image, "-n", namespace)
    with pytest.raises(ConflictError, match="gone or was made anew"):
        here.admit(adopt())
    api_server.kubectl("delete", "service", by_hand.FRONT, "-n", namespace)
    with pytest.raises(ApplyError) as caught:
        here.apply(adopt(placed(number=2), split=2, first=None))
    assert caught.value.by_revision[None].code == "target.kubernetes.front"
    assert api_cluster.get(kinds.SERVICE, by_hand.FRONT, namespace) is None


def test_only_who_may_act_moves_or_gives_back(
    api_cluster: Cluster, namespace: str, adopt: Adopt
) -> None:
    hold, second = Held(), placed(number=2)
    here = target(api_cluster, namespace, hold)
    here.apply(adopt(second))
    hold.mine = False
    for wanted in (adopt(second, split=2), adopt(second, first=None, split=None)):
        with pytest.raises(ApplyError) as caught:
            here.apply(wanted)
        assert caught.value.by_revision[None].code == "target.not_held"
    assert selector(api_cluster, namespace) == by_hand.LABELS


def test_what_is_not_there(api_cluster: Cluster, namespace: str, found: adoption.Found) -> None:
    with pytest.raises(NotFoundError, match="no Deployment gone") as caught:
        adoption.find(api_cluster, namespace, "digits", "gone", None)
    assert by_hand.WORKLOAD in (caught.value.hint or "")


def test_an_autoscaler_that_is_there(
    api_cluster: Cluster, api_server: ApiServer, namespace: str, found: adoption.Found
) -> None:
    words = ("autoscale", f"deployment/{by_hand.WORKLOAD}", "--max=5", "-n", namespace)
    api_server.kubectl(*words)
    with pytest.raises(ClocheError, match="HorizontalPodAutoscaler triton scales") as caught:
        adoption.find(api_cluster, namespace, "digits", by_hand.WORKLOAD, None)
    assert caught.value.code == "adopt.scaled"


def test_others_that_lead_there_too_are_told(
    api_cluster: Cluster, api_server: ApiServer, namespace: str, found: adoption.Found
) -> None:
    body = by_hand.front("metrics", ports=[{"port": 8002}])
    api_server.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(body))
    again = adoption.find(api_cluster, namespace, "digits", by_hand.WORKLOAD, by_hand.FRONT)
    (finding,) = again.findings
    assert "Service metrics leads to Deployment triton too" in finding.what
