"""The checks of `cloche doctor --target`: a place in a cluster, for the service of a spec.

Each yields findings, or a sentence where all is well, or raises a ClocheError that the command
shows as one.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche.artifacts import Finding, Severity
from cloche.clients.kubernetes import kinds
from cloche.errors import ClocheError
from cloche.nvidia import Software
from cloche.units import count_text

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from cloche.artifacts import KubernetesPlace
    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.pipeline.image import Registries
    from cloche.progress import Progress
    from cloche.spec import ServiceSpec
    from cloche.targets import Desired

    Found = Finding | str
    """A sentence says that all is well."""
    Check = Callable[["Context"], Iterable[Found]]


@dataclass(frozen=True, slots=True)
class Context:
    """What is checked: a place, connected, and the service that is to run there."""

    spec: ServiceSpec
    """As the file has it, with all its targets."""
    place: KubernetesPlace
    cluster: Cluster
    connections: Registries
    progress: Progress

    @property
    def there(self) -> ServiceSpec:
        """Return the spec as it is at the place."""
        return self.spec.at(self.place.name)

    @property
    def desired(self) -> Desired:
        """Return the service as it would be asked for, without its model."""
        from cloche.targets import Desired

        operated = replace(self.there.operated(), exposure=self.place.exposure)
        return Desired(self.there.service_name, operated=operated)


@contextmanager
def opened(spec: ServiceSpec, place: KubernetesPlace, progress: Progress) -> Iterator[Context]:
    """Yield a place to check; raises ClocheError `kubernetes.…` for a context that is not there."""
    from cloche.clients.kubernetes.cluster import connect
    from cloche.pipeline import image as images

    with ExitStack() as stack:
        cluster = stack.enter_context(connect(place.context, os.environ))
        connections = stack.enter_context(images.registries(os.environ))
        yield Context(spec, place, cluster, connections, progress)


# ── the cluster ───────────────────────────────────────────────────────────────────────────────


def server(context: Context) -> Iterator[Found]:
    """Say which API server it is, who asks it, and whether its version is one that is tried."""
    from cloche.state.kubernetes.identity import who
    from cloche.targets.kubernetes import requirements

    cluster = context.cluster
    said = requirements.check_version(cluster)
    yield replace(said, what=f"{said.what} {cluster.server}, as {who(cluster)}.")


def namespace(context: Context) -> Iterator[Found]:
    """Say whether the namespace is there."""
    from cloche.targets.kubernetes import admission

    admission.check_namespace(context.cluster, context.place.namespace)
    yield f"{context.place.namespace} is there."


def rights(context: Context) -> Iterator[Found]:
    """Ask for each right that a deploy needs."""
    from cloche.targets.kubernetes import rights as needs

    cluster, place = context.cluster, context.place
    needed = needs.needed_of(cluster, place.namespace, place.exposure)
    missing = needs.missing(cluster, place.namespace, needed)
    yield from _wrong(missing) or [f"All {len(needed)} rights that a deploy needs are given."]


def service(context: Context) -> Iterator[Found]:
    """Look for what is in the way of the service's names, and of how it is reached."""
    from cloche.targets.kubernetes import admission

    desired, exposure = context.desired, context.place.exposure
    wrong = _wrong(admission.of_service(context.cluster, context.place.namespace, desired))
    through = f" through Gateway {exposure.gateway}" if exposure.gateway else ""
    yield from wrong or [f"{desired.service} can be reached by {exposure.expose}{through}."]


def quota(context: Context) -> Iterator[Found]:
    """Compare the quotas of the namespace with what the pods of a first revision ask for."""
    from cloche.clients.kubernetes.errors import ForbiddenError
    from cloche.targets.kubernetes import quota as quotas
    from cloche.targets.kubernetes.objects import resources

    place, desired = context.place, context.desired
    try:
        found = context.cluster.list(kinds.RESOURCE_QUOTA, place.namespace).items
    except ForbiddenError:
        yield "You may not list quotas; a deploy asks for a pod by a dry run."
        return
    asked = resources.of_container(context.there.served().resources, place.pods)
    each = quotas.of_pod({"containers": [{"resources": asked}]})
    count, service = desired.operated.replica_range.minimum, desired.service
    wrong = _wrong(quotas.problems(found, each, count, service, {}))
    has = "quota has" if len(found) == 1 else "quotas have"
    fine = f"{len(found)} {has} room." if found else "No quota bounds the namespace."
    yield from wrong or [fine]


def autoscaling(context: Context) -> Iterator[Found]:
    """Look for what autoscaling needs: KEDA, and metrics that answer."""
    from cloche.targets.kubernetes import scaling

    desired = context.desired
    wrong = _wrong(scaling.problems(context.cluster, context.place.namespace, desired))
    yield from wrong
    if wrong:
        return
    if desired.operated.replica_range.fixed:
        yield "The number of replicas is fixed."
        return
    yield "KEDA is there, and autoscalers can read its metrics."
    if not context.cluster.serves(kinds.POD_MONITOR):
        yield Finding(
            Severity.WARNING, "kubernetes.pod_monitor",
            "The cluster has no PodMonitor: nothing tells its Prometheus to read the pods.",
            hint="Install the Prometheus operator, or have Prometheus read port 8002 of the pods.",
        )  # fmt: skip


# ── images ────────────────────────────────────────────────────────────────────────────────────


def registry(context: Context) -> Iterator[Found]:
    """Ask the registry from this machine."""
    from cloche.pipeline import registry_reach

    host = registry_reach.from_here(context.place, context.connections)
    yield f"{host} answers here."


def pull_secret(context: Context) -> Iterator[Found]:
    """Look at the secret by which nodes pull."""
    from cloche.clients.oci import reference as references
    from cloche.targets.kubernetes import requirements

    name, place = context.place.pods.pull_secret, context.place
    if name is None:
        yield "None is named: nodes pull without one, or with one of their own."
        return
    pod = {"imagePullSecrets": [{"name": name}]}
    host = references.parse(f"{place.registry}/any").host
    wrong = _wrong(requirements.pull_secrets(context.cluster, place.namespace, pod, host))
    yield from wrong or [f"{name} is for {host}, or may not be read."]


def pulling(context: Context) -> Iterator[Found]:
    """Have a node pull from the registry."""
    from cloche.pipeline import registry_reach

    node = registry_reach.from_cluster(
        context.place, context.cluster, context.connections, context.progress
    )
    yield f"Node {node} pulls from {context.place.registry}."


# ── nodes ─────────────────────────────────────────────────────────────────────────────────────


def nodes(context: Context) -> Iterator[Found]:
    """Say of each node whether it runs the image of the service, and which GPUs are free."""
    from cloche.images import platforms
    from cloche.targets.kubernetes.gpus import preflight
    from cloche.targets.kubernetes.gpus import survey as surveys
    from cloche.targets.kubernetes.objects import placing

    gpu, place = context.there.served().resources.gpu, context.place
    software = Software() if gpu is None else (yield from _software(context))
    outline = placing.outline(gpu, place.pods, platforms.here().architecture, software)
    seen = surveys.read(context.cluster, pods=True)
    if seen.nodes is None:
        yield preflight.unseen()
        return
    for resource, (free, total) in surveys.totals(seen).items():
        some = "an unknown number" if free is None else free
        yield f"{resource}: {some} of {total} free."
    yield from _wrong(preflight.problems_of(seen, outline, None))
    found = surveys.survey(seen, outline, None)
    if found is None:
        yield f"{count_text(len(seen.nodes), 'node')}; no GPU is asked for."
        return
    yield from preflight.each_node(found)
    yield from preflight.free(found, context.desired.operated.replica_range.minimum)


def _software(context: Context) -> Generator[Found, None, Software]:
    """Return what the image of the service will bring for GPUs; yield what is to be said of it."""
    from cloche.images import platforms
    from cloche.pipeline import gpu_release
    from cloche.pipeline import image as images

    place = context.place
    if place.base is None:
        chosen = gpu_release.choose(context.spec, place, context.cluster, os.environ)
        yield from chosen.findings
        yield from (f"{each.value}. {each.why}" for each in chosen.reasons)
        return chosen.software
    try:
        base = images.read_base(place.base, platforms.here(), context.connections)
        gpu_release.require_cuda(base, place.base)
    except ClocheError as error:
        yield from _wrong([error])
        return Software()
    return gpu_release.software_of(base)


def _wrong(errors: Iterable[ClocheError]) -> list[Found]:
    return [Finding(Severity.ERROR, each.code, each.what, each.where, each.hint) for each in errors]


CHECKS: tuple[tuple[str, Check], ...] = (
    ("api server", server),
    ("namespace", namespace),
    ("rights", rights),
    ("service", service),
    ("quota", quota),
    ("autoscaling", autoscaling),
    ("registry", registry),
    ("pull secret", pull_secret),
    ("nodes", nodes),
)
"""The checks in order of execution and display."""
PULLING: tuple[str, Check] = ("pulling", pulling)
"""The check that makes a Job, only on request."""
