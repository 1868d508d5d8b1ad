"""A place in a cluster, opened for one command, with the engine that carries things out there."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche import composition
from cloche.clients.oci import reference as references

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cloche.artifacts import Deployment, KubernetesPlace, Operated
    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.control import Engine
    from cloche.pipeline.image import Registries
    from cloche.pipeline.plan_file import PlanFile
    from cloche.settings import Settings
    from cloche.state.kubernetes import KubernetesState
    from cloche.targets.kubernetes.target import KubernetesTarget

_WARM = 600.0
"""Seconds for which the former revision keeps its pods where the spec says nothing."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A place in a cluster, with the engine that this process hosts."""

    place: KubernetesPlace
    cluster: Cluster
    engine: Engine
    state: KubernetesState
    target: KubernetesTarget
    connections: Registries
    user: str
    """Who the cluster takes this user for."""
    recovered: str | None = None
    """What was put right before the command acts, as a sentence."""


@contextmanager
def opened(
    place: KubernetesPlace,
    environment: Mapping[str, str],
    *,
    acts_for: str | None,
    create_namespace: bool = False,
    planned: PlanFile | None = None,
    settings: Settings,
) -> Iterator[Opened]:
    """Yield a place; with `acts_for` the engine carries out what is recorded of that service.

    With `create_namespace` a namespace that is missing is made first. Whether acting is possible
    is asked before anything else is written, and then a lost record is made anew. With `planned`
    nothing is carried out where that plan is stale.
    Raises ClocheError `kubernetes.…` if the cluster cannot be asked, and `plan.stale`.
    """
    from cloche.clients.kubernetes.cluster import connect
    from cloche.control import Engine
    from cloche.pipeline import cluster_identity, cluster_recovery, plan_file
    from cloche.pipeline import image as images
    from cloche.pipeline.cluster_golden import BringingVerifier, GoldenBodies
    from cloche.state.kubernetes.identity import who
    from cloche.targets.kubernetes import admission, rights

    with ExitStack() as stack:
        cluster = stack.enter_context(connect(place.context, environment))
        cluster_identity.require_same(cluster, settings.layout.clusters)
        connections = stack.enter_context(images.registries(environment))
        registry = connections.at(host(place))
        if create_namespace:
            _make_namespace(cluster, place, connections)
        lease = None
        if acts_for is not None:
            admission.check_namespace(cluster, place.namespace)
            rights.require(cluster, place.namespace, place.exposure)
            lease = stack.enter_context(composition.lease(cluster, place, acts_for))
        state = composition.cluster_state(place, cluster, registry, settings)
        bodies = GoldenBodies(composition.store(settings), connections)
        target = composition.cluster_target(
            place, cluster, state, hold=lease, read=bodies.read, has_image=connections.has
        )
        user, journal = who(cluster), composition.cluster_journal(place, cluster)
        engine = Engine(
            state, journal, target, BringingVerifier(composition.verifier(settings), bodies),
            by=user, clock=cluster.now, hold=lease,
        )  # fmt: skip
        if planned is not None:
            plan_file.require_current(cluster, state, planned)
        recovered = None
        if acts_for is not None and lease is not None:
            recovered = cluster_recovery.recover(
                state, journal, cluster, place.namespace, service=acts_for, hold=lease, by=user
            )
            stack.enter_context(engine.running())
        yield Opened(place, cluster, engine, state, target, connections, user, recovered)


def operated_at(deployment: Deployment, place: KubernetesPlace) -> Operated:
    """Return how a service is operated there: a GPU is never kept for nothing."""
    operated = deployment.operated
    has_gpu = deployment.served.resources.gpu is not None or deployment.repository.gpu_models
    default = 0.0 if has_gpu else _WARM
    warm = default if operated.warm is None else operated.warm
    return replace(operated, warm=warm, exposure=place.exposure)


def _make_namespace(cluster: Cluster, place: KubernetesPlace, connections: Registries) -> None:
    """Make the namespace of a place if it is missing, and the registry answers."""
    from cloche.clients.kubernetes import kinds
    from cloche.pipeline import registry_reach

    if cluster.get(kinds.NAMESPACE, place.namespace) is None:
        registry_reach.require_answer(place, connections)
        cluster.create(kinds.NAMESPACE, {"metadata": {"name": place.namespace}})


def host(place: KubernetesPlace) -> str:
    """Return the host of the registry of a place."""
    return references.parse(f"{place.registry}/service").host
