"""Answers of the API server that never arrive: what was asked is asked again, and done once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloche import testing
from cloche.artifacts import EventKind
from cloche.clients.kubernetes.cluster import Cluster, connect
from cloche.clients.patience import Patience
from cloche.state.kubernetes import KubernetesJournal, KubernetesState, Lease
from cluster.harness.access import CONTEXT
from cluster.harness.api_server import ApiServer
from fixtures.cluster_state import FolderDocuments
from fixtures.cutting import CuttingProxy

DEPLOYS = 4


@pytest.fixture
def proxy(api_server: ApiServer) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(api_server.url.removeprefix("https://"))
    yield proxy
    proxy.close()


@pytest.fixture
def unsteady(api_server: ApiServer, proxy: CuttingProxy, tmp_path: Path) -> Iterator[Cluster]:
    """A connection over the proxy, with a client that is as patient as ever, in less time."""
    text = api_server.kubeconfig.read_text().replace(api_server.url, f"https://{proxy.host}")
    (tmp_path / "kubeconfig").write_text(text)
    patience = Patience(pauses=(0.01,) * 20, stall=10)
    environment = {"KUBECONFIG": str(tmp_path / "kubeconfig")}
    with connect(CONTEXT, environment, patience=patience) as cluster:
        yield cluster


def test_deploys_over_an_unsteady_connection_are_recorded_once(
    unsteady: Cluster,
    proxy: CuttingProxy,
    cluster_state: KubernetesState,
    namespace: str,
    documents: FolderDocuments,
) -> None:
    chance = random.Random(4)
    with Lease(unsteady, namespace, "digits") as lease:
        engine = testing.engine(
            state=KubernetesState(unsteady, namespace, documents),
            journal=KubernetesJournal(unsteady, namespace),
            hold=lease,
        )
        proxy.to_client.extend(chance.randrange(3_000, 20_000) for _ in range(40))
        for number in range(DEPLOYS):
            engine.deploy(testing.deployment(model=str(number)))
            for _ in range(4):
                engine.reconciler.tick()
        left = len(proxy.to_client)
        proxy.to_client.clear()
        testing.settle(engine)
    assert left < 40, "nothing was cut"
    stored = cluster_state.service("digits")
    assert stored is not None
    assert [one.to for one in stored.record.rollouts] == list(range(1, DEPLOYS + 1))
    assert cluster_state.last_number("digits") == DEPLOYS == stored.record.live
    events = KubernetesJournal(unsteady, namespace).read("digits")
    deployed = [one.revision for one in events if one.kind is EventKind.DEPLOYED]
    assert deployed == list(range(1, DEPLOYS + 1))
