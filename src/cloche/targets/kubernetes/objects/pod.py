"""The template of a revision's pods: rendered once, and part of what the revision is.

It says nothing of the revision's number, which is not given yet: `numbered` adds that. The profile
is the restricted one of Kubernetes' Pod Security Standards.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Origin, Reason
from cloche.errors import UsageError
from cloche.nvidia import Software
from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.objects import gpus, patches, placing, probes, resources, weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.artifacts import ContainerStart, Deployment, PodOptions

CONTAINER = "server"
PORTS = {"http": 8000, "grpc": 8001, "metrics": 8002}
_DRAIN = 5
"""Seconds between the end of new requests and that of the server: until then endpoints change."""
_EXIT = 30
"""Seconds that Triton waits for the requests that it has."""
_GRACE = _DRAIN + _EXIT + 25
_ENTRYPOINT = "/cloche/entrypoint"
_CLEAN = 'rm -rf /dev/shm/* /tmp/*; exec "$0" "$@"'
"""A container that was killed leaves its shared memory in the pod; four of them fill it."""
_USER = 1000
_SCRATCH = ("shm", "tmp")
"""The volumes of a pod that nothing is lost with."""
_EVICTED_WITH = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
"""The annotation by which an autoscaler of nodes may remove one whose pods have such volumes."""
_WHOLE = weights.Source()


@dataclass(frozen=True, slots=True)
class Template:
    """A pod template, and why it is as it is."""

    pod: dict[str, Any]
    reasons: tuple[Reason, ...]


def render(
    deployment: Deployment,
    start: ContainerStart,
    architecture: str,
    options: PodOptions,
    *,
    software: Software | None = None,
    source: weights.Source = _WHOLE,
) -> Template:
    """Return the template for pods that serve a deployment whose image is known.

    `architecture` is that of the image: `amd64`; `software` is what it brings for GPUs. Where
    `source` has the image of a server, that of the deployment has the models alone.
    """
    brings, gpu = software or Software(), deployment.served.resources.gpu
    sizes = resources.of(deployment, start, options)
    environment = [*gpus.environment(gpu, brings), *weights.environment(start, source)]
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "serviceAccountName": options.service_account or names.of_service(deployment.service),
        "terminationGracePeriodSeconds": _GRACE,
        "securityContext": pod_security(),
        **placing.spread(deployment, brings),
        "containers": [_container(deployment, sizes, environment, source)],
        "volumes": _volumes(deployment, sizes, source),
        **placing.where(gpu, options, architecture),
    }
    metadata = {
        "labels": {**options.labels, **gpus.labels_of(gpu), **names.labels(deployment.service)},
        "annotations": {
            _EVICTED_WITH: ",".join(_SCRATCH),
            **options.annotations,
            **gpus.annotations_of(gpu, brings),
        },
    }
    placed = placing.reasons(deployment, options, architecture, brings)
    reasons = (*sizes.reasons, *_reasons(deployment, options), *placed, source.reason)
    return Template(_patched({"metadata": metadata, "spec": spec}, options), reasons)


def _patched(template: dict[str, Any], options: PodOptions) -> dict[str, Any]:
    """Return a template with the target's patch of the Deployment on it."""
    patch = options.patches.get("Deployment", {})
    merged: dict[str, Any] = patches.merge({"spec": {"template": template}}, patch)
    patched: Any = (merged.get("spec") or {}).get("template")
    _require_kept(patched, template)
    return dict(patched)


def _require_kept(patched: Any, template: dict[str, Any]) -> None:
    """Raise UsageError for a patch that takes away what pods are found, asked and placed by."""
    metadata, spec = (_mapping(_mapping(patched).get(key)) for key in ("metadata", "spec"))
    labels, selector = _mapping(metadata.get("labels")), _mapping(spec.get("nodeSelector"))
    containers = spec.get("containers")
    named = [_mapping(each).get("name") for each in containers or ()]
    kept = {
        "metadata.labels": template["metadata"]["labels"].items() <= labels.items(),
        "spec.nodeSelector": set(template["spec"]["nodeSelector"]) <= set(selector),
        f"spec.containers, of which one is called {CONTAINER}": named.count(CONTAINER) == 1,
        "spec.serviceAccountName": isinstance(spec.get("serviceAccountName"), str),
    }
    lost = [what for what, is_kept in kept.items() if not is_kept]
    if lost:
        raise UsageError(
            "target.kubernetes.patches",
            f"The patch of the target takes away what the pods need: {'; '.join(lost)}.",
            where="patches",
            hint="Change parts of the template, and take no such part of it away.",
        )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def numbered(template: dict[str, Any], service: str, number: int) -> dict[str, Any]:
    """Return a template as the pods of a numbered revision have it."""
    pod = copy.deepcopy(template)
    pod["metadata"]["labels"] |= names.selector(service, number)
    for volume in pod["spec"].get("volumes", ()):
        if volume["name"] == probes.VOLUME:
            volume["configMap"]["name"] = names.of_revision(service, number)
    return pod


def images_of(image: str | None, template: Mapping[str, Any]) -> frozenset[str]:
    """Return the images of a service that pods of a template need; `image` is the deployment's."""
    containers = template["spec"]["containers"]
    servers = {each["image"] for each in containers if each["name"] == CONTAINER}
    return frozenset(servers | ({image} if image is not None else set()))


def _container(
    deployment: Deployment,
    sizes: resources.Sizes,
    environment: list[dict[str, str]],
    source: weights.Source,
) -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "image": source.server or deployment.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", _CLEAN, _ENTRYPOINT],
        "args": [f"--exit-timeout-secs={_EXIT}"],
        "ports": [{"name": name, "containerPort": port} for name, port in PORTS.items()],
        "env": [*sizes.environment, *environment],
        "resources": sizes.resources,
        "securityContext": container_security(),
        "lifecycle": {"preStop": {"sleep": {"seconds": _DRAIN}}},
        "volumeMounts": [
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - a path in the container
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            *weights.mounts(source),
            *probes.mounts(deployment),
        ],
        **probes.of(deployment),
    }


def _volumes(
    deployment: Deployment, sizes: resources.Sizes, source: weights.Source
) -> list[dict[str, Any]]:
    scratch: dict[str, dict[str, Any]] = {
        "shm": {"medium": "Memory", "sizeLimit": sizes.shared_memory},
        "tmp": {"sizeLimit": sizes.scratch},
    }
    return [
        *({"name": name, "emptyDir": scratch[name]} for name in _SCRATCH),
        *weights.volumes(deployment, source),
        *probes.volumes(deployment),
    ]


def container_security() -> dict[str, Any]:
    """Return what the restricted profile asks of a container."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def pod_security() -> dict[str, Any]:
    """Return what the restricted profile asks of a pod."""
    return {
        "runAsNonRoot": True,
        "runAsUser": _USER,
        "runAsGroup": _USER,
        "fsGroup": _USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _reasons(deployment: Deployment, options: PodOptions) -> tuple[Reason, ...]:
    default = Origin.DEFAULT
    why = {
        "securityContext": "The restricted profile of Kubernetes: no root, no privilege, a"
        " read-only root file system.",
        "terminationGracePeriodSeconds": f"{_DRAIN} s until no endpoint leads to the pod, {_EXIT} s"
        " for the requests that it has, and room.",
        "lifecycle.preStop": "Requests still arrive until every proxy knows that the pod ends.",
        "command": "Shared memory of a container that was killed is freed before the next starts.",
        "automountServiceAccountToken": "A model asks nothing of the API server.",
        f"annotations.{_EVICTED_WITH}": "Nothing is lost with them when a node is taken away.",
    }
    values = {
        "securityContext": "restricted",
        "terminationGracePeriodSeconds": str(_GRACE),
        "lifecycle.preStop": f"sleep {_DRAIN}",
        "command": "rm -rf /dev/shm/*",
        "automountServiceAccountToken": "false",
        f"annotations.{_EVICTED_WITH}": ",".join(_SCRATCH),
    }
    own = tuple(Reason(f"pod.{key}", values[key], default, text) for key, text in why.items())
    patched = Reason("pod.patches", "Deployment", Origin.SPEC, "The target asks for it.")
    return (*own, *probes.reasons(deployment), *((patched,) if options.patches else ()))
