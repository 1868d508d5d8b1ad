"""Hosts that are processes of their own: one is stopped, one is killed, two declare at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloche import testing
from cloche.artifacts import FileEntry, Outcome, Revision, digest_of, digest_of_files, encode
from cloche.clients.kubernetes.cluster import Cluster
from cloche.clients.kubernetes.kinds import CONFIG_MAP, CONTROLLER_REVISION, EVENT, LEASE
from cloche.control import Engine
from cloche.rollout import words
from cloche.state.kubernetes import (
    KubernetesJournal,
    KubernetesState,
    Lease,
    RegistryDocuments,
    sweep,
    who,
)
from cloche.state.kubernetes.lease import Terms
from cluster.harness.api_server import ApiServer
from fixtures.cluster_state import FolderDocuments, connected
from fixtures.local import until
from fixtures.registries import registry_at

ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: cloche-state}
rules:
- {apiGroups: [""], resources: [configmaps], verbs: [get, list, create, update, delete]}
- {apiGroups: [apps], resources: [controllerrevisions], verbs: [get, list, create, delete]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update, delete]}
- {apiGroups: [""], resources: [events], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: cloche-state}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: cloche-state}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ann}]
"""
"""All that state, journal and lease need."""
TERMS = Terms(duration=2, usable=1.5, pause=0.2)
TESTS = Path(__file__).parents[2]

BEGIN = """
import itertools, os, signal, sys, time
from pathlib import Path
from cloche.control import Engine
from cloche.state.kubernetes import KubernetesJournal, KubernetesState, Lease
from cloche.state.kubernetes.lease import Terms
from cloche.testing import FixedVerifier, LivingTarget, MemoryTarget, deployment
from fixtures.cluster_state import FolderDocuments, connected

cluster = connected(Path(sys.argv[1]))
namespace, folder = sys.argv[2], Path(sys.argv[3])

def end(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

class Dying(FolderDocuments):
    def put(self, service, data):
        super().put(service, data)
        end()

journal = KubernetesJournal(cluster, namespace)
"""
# Its replicas never become ready, so that the rollout waits for them.
ACTING = """
state = KubernetesState(cluster, namespace, FolderDocuments(folder))
terms = Terms(duration=2, usable=1.5, pause=0.2)
with Lease(cluster, namespace, "digits", identity="first", terms=terms) as lease:
    engine = Engine(state, journal, MemoryTarget(), FixedVerifier(), by="first", hold=lease)
    engine.deploy(deployment(model="first"))
    while True:
        engine.reconciler.tick()
        print(lease.held("digits"), lease.holder, flush=True)
        time.sleep(0.02)
"""
AFTER_DOCUMENT = """
state = KubernetesState(cluster, namespace, Dying(folder))
Engine(state, journal, MemoryTarget(), FixedVerifier()).deploy(deployment(model="first"))
"""
AFTER_NUMBER = """
state = KubernetesState(cluster, namespace, FolderDocuments(folder))
state.put = end
Engine(state, journal, MemoryTarget(), FixedVerifier()).deploy(deployment(model="first"))
"""
# It is killed after a number of writes of the record, before it acts on the last or tells of it.
AFTER_WRITES = """
state = KubernetesState(cluster, namespace, FolderDocuments(folder))
put, left = state.put, itertools.count(WRITES, -1)

def counted(*args, **more):
    version = put(*args, **more)
    return version if next(left) > 1 else end()

state.put = counted
engine = Engine(state, journal, LivingTarget(), FixedVerifier(), by="first")
engine.deploy(deployment(model="first"))
while True:
    engine.reconciler.tick()
"""


@pytest.fixture
def host(
    api_server: ApiServer, namespace: str, documents: FolderDocuments
) -> Callable[[str], subprocess.Popen[str]]:
    """Start a host: what it does after it has connected."""

    def start(script: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", BEGIN + script, str(api_server.kubeconfig), namespace]
        return subprocess.Popen(
            [*words, str(documents.folder)],
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            stdout=subprocess.PIPE,
            text=True,
        )

    return start


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


def lines(process: subprocess.Popen[str], wanted: str, count: int) -> None:
    """Read until so many lines in a row are as wanted."""
    assert process.stdout is not None
    found = 0
    while found < count:
        line = process.stdout.readline()
        assert line, "it has ended"
        found = found + 1 if line.strip() == wanted else 0


@pytest.fixture
def journal(api_cluster: Cluster, namespace: str) -> KubernetesJournal:
    return KubernetesJournal(api_cluster, namespace)


def test_a_host_that_was_stopped_for_long_changes_nothing(
    host: Callable[[str], subprocess.Popen[str]],
    cluster_state: KubernetesState,
    journal: KubernetesJournal,
    api_cluster: Cluster,
    namespace: str,
) -> None:
    with ended(host(ACTING)) as first:
        lines(first, "True first", 5)
        lease = Lease(api_cluster, namespace, "digits", identity="second", terms=TERMS)
        with lease:
            second = testing.engine(state=cluster_state, journal=journal, hold=lease)
            second.reconciler.tick()
            assert second.service("digits")["phase"] == "starting"
            assert lease.holder == "first"
            first.send_signal(signal.SIGSTOP)
            until(lambda: lease.held("digits"))
            testing.settle(second)
            assert second.service("digits")["phase"] == "live"
            left = cluster_state.service("digits"), journal.read()
            first.send_signal(signal.SIGCONT)
            lines(first, "False second", 20)
            assert lease.held("digits")
            assert (cluster_state.service("digits"), journal.read()) == left


def test_a_host_that_was_killed_is_followed_by_another(
    host: Callable[[str], subprocess.Popen[str]],
    cluster_state: KubernetesState,
    journal: KubernetesJournal,
    api_cluster: Cluster,
    namespace: str,
) -> None:
    with ended(host(ACTING)) as first:
        lines(first, "True first", 5)
        first.kill()
        with Lease(api_cluster, namespace, "digits", terms=TERMS) as lease:
            second = testing.engine(state=cluster_state, journal=journal, hold=lease)
            with testing.running(second):
                until(lambda: second.service("digits")["phase"] == "live")
    kinds = [one.kind.value for one in journal.read()]
    assert kinds.count("deployed") == 1


@pytest.mark.parametrize(("script", "number"), [(AFTER_DOCUMENT, 1), (AFTER_NUMBER, 2)])
def test_a_deploy_that_is_killed_costs_at_most_its_number(
    host: Callable[[str], subprocess.Popen[str]],
    cluster_state: KubernetesState,
    journal: KubernetesJournal,
    script: str,
    number: int,
) -> None:
    with ended(host(script)) as killed:
        assert killed.wait(60) == -signal.SIGKILL
    assert cluster_state.service("digits") is None
    engine = testing.engine(state=cluster_state, journal=journal)
    assert engine.deploy(testing.deployment(model="second"))["revision"] == number
    testing.settle(engine)
    assert engine.service("digits")["phase"] == "live"
    later = datetime.now(UTC) + timedelta(hours=1)
    assert sweep(cluster_state, "digits", now=later) == ()
    assert engine.deploy(testing.deployment(model="first"))["revision"] == number + 1


@pytest.mark.parametrize("writes", range(1, 7))
def test_after_a_kill_in_any_phase_another_host_goes_on_from_the_record(
    host: Callable[[str], subprocess.Popen[str]],
    cluster_state: KubernetesState,
    journal: KubernetesJournal,
    writes: int,
) -> None:
    with ended(host(f"WRITES = {writes}" + AFTER_WRITES)) as killed:
        assert killed.wait(60) == -signal.SIGKILL
    before = cluster_state.service("digits")
    assert before is not None
    second = testing.engine(state=cluster_state, journal=journal)
    testing.settle(second)
    after = cluster_state.service("digits")
    assert after is not None
    [rollout] = after.record.rollouts
    assert after.record.live == 1
    assert rollout.outcome is Outcome.COMPLETED
    assert rollout.started_at == before.record.rollouts[0].started_at
    assert rollout.verification is not None


def test_of_two_that_deploy_at_once_each_is_recorded_and_one_is_the_last(
    api_server: ApiServer,
    namespace: str,
    documents: FolderDocuments,
    cluster_state: KubernetesState,
) -> None:
    deployed: dict[int, str] = {}
    together = threading.Barrier(2)

    def declare(name: str) -> None:
        with connected(api_server.kubeconfig) as cluster:
            state = KubernetesState(cluster, namespace, documents)
            journal = KubernetesJournal(cluster, namespace)
            engine: Engine = testing.engine(state=state, journal=journal, by=name)
            together.wait(30)
            for number in range(5):
                model = f"{name}{number}"
                deployed[engine.deploy(testing.deployment(model=model))["revision"]] = model

    threads = [threading.Thread(target=declare, args=(name,)) for name in ("ann", "ben")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    stored = cluster_state.service("digits")
    assert stored is not None
    assert sorted(one.to for one in stored.record.rollouts) == sorted(deployed)
    assert len(deployed) == 10
    outcomes = [one.outcome for one in stored.record.rollouts]
    assert outcomes == [Outcome.SUPERSEDED] * 9 + [None]
    for number, model in deployed.items():
        revision = cluster_state.revision("digits", number)
        assert revision is not None
        assert revision.deployment.main.snapshot.reference == f"./{model}.onnx"


def test_a_user_with_few_rights_deploys_rolls_back_and_deletes(
    api_server: ApiServer, api_cluster: Cluster, namespace: str, documents: FolderDocuments
) -> None:
    api_server.kubectl("-n", namespace, "apply", "-f", "-", stdin=ROLE)
    with connected(api_server.kubeconfig_of("ann")) as cluster:
        user = who(cluster)
        state = KubernetesState(cluster, namespace, documents)
        journal = KubernetesJournal(cluster, namespace)
        with Lease(cluster, namespace, "digits") as lease:
            engine = testing.engine(state=state, journal=journal, by=user, hold=lease)
            for model in ("a", "b"):
                engine.deploy(testing.deployment(model=model))
                testing.settle(engine)
            engine.rollback("digits")
            testing.settle(engine)
            assert engine.service("digits")["live"] == 1
            assert engine.revision("digits", 1).by == user == "ann"
            engine.delete("digits")
            testing.settle(engine)
    left = "cloche.dev/service=digits"
    for kind in (CONFIG_MAP, CONTROLLER_REVISION, LEASE):
        assert api_cluster.list(kind, namespace, labels=left).items == []
    told = [one["message"] for one in api_cluster.list(EVENT, namespace).items]
    assert words.deleted("digits") in told


def test_a_deployment_of_a_hundred_thousand_files_fits(
    api_cluster: Cluster, namespace: str, open_registry: str, tmp_path: Path
) -> None:
    files = tuple(
        FileEntry(f"weights/part-{number:06}.bin", number, digest_of(str(number).encode()))
        for number in range(100_000)
    )
    asked = testing.deployment()
    asked = replace(
        asked, repository=replace(asked.repository, files=files, digest=digest_of_files(files))
    )
    revision = Revision("digits", 1, asked.digest, asked, "2026-11-01T12:00:00+00:00", "me")
    with registry_at(open_registry) as registry:

        def state(host: str) -> KubernetesState:
            documents = RegistryDocuments(registry, f"tests/{namespace}", tmp_path / host)
            return KubernetesState(api_cluster, namespace, documents)

        engine = testing.engine(state=state("one"))
        engine.deploy(asked)
        engine.deploy(testing.deployment(model="small"))
        state("one").attach("digits", 1, testing.verification())
        found = state("other").revision("digits", 1)
    assert found is not None
    assert found.deployment == revision.deployment
    for kind in (CONFIG_MAP, CONTROLLER_REVISION):
        for body in api_cluster.list(kind, namespace).items:
            assert len(encode(body)) < 10_000
