"""The cluster that tests use: one that a developer names, or that of this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cluster.harness import registry
from cluster.harness.access import CONTEXT, Kubectl
from cluster.harness.daemon import Daemon
from cluster.harness.errors import BusyError, MissingError
from cluster.harness.node import Node
from cluster.harness.programs import Programs, Report
from cluster.harness.real_cluster import RealCluster, in_use, missing, out_of_use

KUBECONFIG = "CLOCHE_TEST_KUBECONFIG"
REGISTRY = "CLOCHE_TEST_REGISTRY"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster with real nodes, and a registry that its nodes and this machine reach."""

    kubeconfig: Path
    context: str
    registry: str
    """Its host and port; images are `REGISTRY/NAME@DIGEST` on this machine and on the nodes."""
    kubectl: Kubectl
    """As its administrator."""
    nodes: tuple[Node, ...] = ()
    """Those that tests may break; a cluster that a developer named has none."""
    api: Daemon | None = None
    """The API server that tests may break."""


@contextmanager
def for_tests(environment: Mapping[str, str], report: Report) -> Iterator[Cluster]:
    """Yield the cluster that the environment names, else that of this machine, started if need be.

    Its last user ends it, unless `make cluster` keeps it. Raises MissingError where none can be
    had, HarnessError where it does not start, or leaves something behind.
    """
    if kubeconfig := environment.get(KUBECONFIG):
        yield _named(Path(kubeconfig), environment.get(REGISTRY))
        return
    if why := missing():
        raise MissingError(why)
    own = RealCluster()
    try:
        with in_use():
            if not own.running:
                own.up(report)
            yield _of(own)
    finally:
        _end(own, report)


def _end(own: RealCluster, report: Report) -> None:
    """End a cluster that nobody keeps and nobody else uses."""
    with suppress(BusyError), out_of_use():
        if not own.kept:
            own.down(report)


def _of(own: RealCluster) -> Cluster:
    nodes, api = tuple(own.nodes), own.control.api
    return Cluster(own.kubeconfig, CONTEXT, registry.HOST, own.kubectl, nodes, api)


def _named(kubeconfig: Path, host: str | None) -> Cluster:
    if not host:
        raise MissingError(f"{KUBECONFIG} needs {REGISTRY}: a registry that its nodes reach")
    built = Programs().folder / "kubectl"
    program = str(built) if built.exists() else shutil.which("kubectl")
    if program is None:
        raise MissingError("needs kubectl: install it, or make kubernetes-api")
    context = Kubectl(Path(program), kubeconfig, "")("config", "current-context").strip()
    kubectl = Kubectl(Path(program), kubeconfig, context)
    return Cluster(kubeconfig, context, host, kubectl)
