"""What a pod gets: processors, memory, shared memory, and room for temporary files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from cloche.artifacts import Origin, Reason
from cloche.artifacts.container import SHARED_MEMORY
from cloche.targets.kubernetes.objects import gpus
from cloche.units import processors_text

if TYPE_CHECKING:
    from cloche.artifacts import ContainerStart, Deployment, PodOptions, Resources

T = TypeVar("T", int, float)

_MIB = 2**20
_LEAST_SHARED_MEMORY = 64 * _MIB
_SERVER = 256 * _MIB
"""Bytes that Triton and a stub take at rest, with room."""
_SCRATCH = "256Mi"
_CPU = 0.25
_GROWTH = 4
"""Times the shared memory that a batch takes: it grows with messages in flight, never shrinks."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Requests and limits of the container, its volumes, and what it is told of them."""

    resources: dict[str, dict[str, str]]
    shared_memory: str
    scratch: str
    environment: list[dict[str, str]]
    reasons: tuple[Reason, ...]


def of(deployment: Deployment, start: ContainerStart, options: PodOptions) -> Sizes:
    """Return what a pod of a deployment gets.

    Without `resources.memory` there is no limit of memory, and without a limit in the target none
    of processors: a limit that is guessed kills or slows a model that works.
    """
    shared, asked = _shared_memory(start), deployment.served.resources
    given = of_container(asked, options, weights=_weights(deployment), shared=shared)
    return Sizes(
        resources=given,
        shared_memory=quantity(shared),
        scratch=_SCRATCH,
        environment=_environment(asked.cpu),
        reasons=_reasons(deployment, options, given, quantity(shared)),
    )


def of_container(
    asked: Resources,
    options: PodOptions,
    *,
    weights: int = 0,
    shared: int = _LEAST_SHARED_MEMORY,
) -> dict[str, dict[str, str]]:
    """Return requests and limits for a model whose files have `weights` bytes, or at least these.

    `shared` is its shared memory.
    """
    cpu = _at_most(asked.cpu or _CPU, options.cpu_limit)
    computed = (asked.memory or _SERVER + 2 * weights) + shared
    memory = _at_most(computed, options.memory_limit)
    limits: dict[str, str] = {}
    most = options.memory_limit or (memory if asked.memory else None)
    if most is not None:
        limits["memory"] = quantity(most)
    if options.cpu_limit is not None:
        limits["cpu"] = processors_text(options.cpu_limit)
    limits |= gpus.limits(asked.gpu)
    return {
        "requests": {"cpu": processors_text(cpu), "memory": quantity(memory)},
        **({"limits": limits} if limits else {}),
    }


def _at_most(value: T, limit: T | None) -> T:
    """Return a request that is no more than its limit: a cluster refuses any other."""
    return value if limit is None else min(value, limit)


def quantity(size: int) -> str:
    """Return bytes as Kubernetes writes them, in whole mebibytes: `512Mi`."""
    return f"{math.ceil(size / _MIB)}Mi"


def _shared_memory(start: ContainerStart) -> int:
    needed = int(start.environment.get(SHARED_MEMORY, "0"))
    return max(_LEAST_SHARED_MEMORY, _GROWTH * needed)


def _weights(deployment: Deployment) -> int:
    return sum(file.size for file in deployment.repository.files)


def _environment(cpu: float | None) -> list[dict[str, str]]:
    """Return the number of threads: with no limit of processors a container sees the whole node."""
    threads = str(max(1, math.ceil(cpu))) if cpu is not None else "1"
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return [{"name": name, "value": threads} for name in names]


def _reasons(
    deployment: Deployment, options: PodOptions, given: dict[str, Any], shared: str
) -> tuple[Reason, ...]:
    asked = deployment.served.resources
    default, spec = Origin.DEFAULT, Origin.SPEC
    requests, limits = given["requests"], given.get("limits", {})
    reasons = [
        Reason("pod.resources.requests.cpu", requests["cpu"], spec if asked.cpu else default,
               "resources.cpu" if asked.cpu else "Nothing says how much the model needs."),
        _memory_reason(deployment, options, requests["memory"], limits.get("memory")),
        Reason("pod.volumes.shm", shared, Origin.MODEL,
               "Tensors of models that run in Python; it grows with messages in flight."),
        Reason("pod.volumes.tmp", _SCRATCH, default, "The root file system is read-only."),
    ]  # fmt: skip
    if "memory" in limits:
        why = "resources.limits of the target" if options.memory_limit else "What is asked for."
        reasons.append(Reason("pod.resources.limits.memory", limits["memory"], spec, why))
    if "cpu" in limits:
        why = "resources.limits of the target"
        reasons.append(Reason("pod.resources.limits.cpu", limits["cpu"], spec, why))
    return tuple(reasons)


def _memory_reason(
    deployment: Deployment, options: PodOptions, request: str, limit: str | None
) -> Reason:
    field = "pod.resources.requests.memory"
    if options.memory_limit is not None and request == limit:
        why = "All that resources.limits of the target allows."
        return Reason(field, request, Origin.SPEC, why)
    if deployment.served.resources.memory:
        return Reason(field, request, Origin.SPEC, "resources.memory and the shared memory")
    why = "256 MiB for the server, twice the model's files, and the shared memory."
    return Reason(field, request, Origin.MODEL, why)
