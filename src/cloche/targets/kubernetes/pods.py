"""Pods as replicas: their phase, and in the words of the cluster why they are not ready."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.objects import pod as template
from cloche.targets.kubernetes.objects.probes import MARK
from cloche.targets.target import Replica, ReplicaPhase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_HOPELESS = re.compile(
    r"not found|manifest unknown|no match for platform|unauthori[sz]ed|denied|forbidden"
    r"|InvalidImageName|invalid reference|no such host",
    re.IGNORECASE,
)
"""What a registry says that asking again does not change."""
_BAD_IMAGE = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
_BAD_CONTAINER = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_MOST_RESTARTS = 3
"""Ends of a container after which it will not come up: kubelets wait longer after each."""
_MOST_KILLS = 2
_DEAD_MODEL = re.compile(r"Stub process .* is not healthy")
_MORE_MEMORY = "Raise `resources.memory`, or `resources.limits.memory` of the target."
PATIENCE = 60.0
"""Seconds that a pod may wait for a node, or its image for a registry that does not answer."""
SCHEDULE_LIMIT = 900.0
"""Seconds that it may wait for a node where one is being added for it, unless more is asked for."""
_ADDED = re.compile(r"pod triggered scale-up|[Pp]od should schedule on")
"""What the autoscalers of nodes say of a pod: cluster-autoscaler, and Karpenter."""

_ROOM = (
    "Ask for less (`resources`), give the cluster more room, or correct `node_selector` and"
    " `tolerations` of the target."
)
_IMAGE = (
    "Deploy its model again if its image is gone. A registry that is not public needs"
    " `pull_secret` of the target, and every node has to reach it."
)
_ADMISSION = "Ask for less (`resources`, `replicas`), or have what refuses them changed."


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a pod is not ready, and what to do about it where its log does not say so."""

    phase: ReplicaPhase
    what: str
    remedy: str | None = None
    unplaced: bool = False
    """Whether it waits for a node."""


def replicas(
    pods: Iterable[dict[str, Any]],
    events: Callable[[dict[str, Any]], Iterable[str]],
    now: datetime,
    schedule_limits: Mapping[int, float] | None = None,
) -> tuple[Replica, ...]:
    """Return the replicas that pods are; `events` returns what was said of a pod, oldest first.

    `schedule_limits` are seconds by revision.
    """
    limits = schedule_limits or {}
    found = (_replica(pod, events, now, limits) for pod in pods)
    return tuple(sorted((each for each in found if each is not None), key=lambda each: each.id))


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Return whether a pod gets requests."""
    return _condition(pod, "Ready").get("status") == "True" and not _is_ending(pod)


def missing(deployment: Mapping[str, Any], now: datetime) -> Trouble | None:
    """Return why some pods of a Deployment cannot be made, such as a quota; None if all can.

    What a quota refuses may fit when pods that end are gone.
    """
    condition = _condition(deployment, "ReplicaFailure")
    if condition.get("status") != "True" or deployment["metadata"].get("deletionTimestamp"):
        return None
    why = str(condition.get("message") or condition.get("reason"))
    waits = _in_time(condition.get("lastTransitionTime"), now)
    phase = waits if "exceeded quota" in why else ReplicaPhase.FAILED
    return Trouble(phase, f"Its pods cannot be made: {why}", _ADMISSION)


def _replica(
    pod: dict[str, Any],
    events: Callable[[dict[str, Any]], Iterable[str]],
    now: datetime,
    schedule_limits: Mapping[int, float],
) -> Replica | None:
    metadata, status = pod["metadata"], pod.get("status", {})
    number = names.revision_of(metadata.get("labels") or {})
    if number is None or status.get("phase") in {"Failed", "Succeeded"}:
        return None  # evicted: another takes its place
    container = _container(pod)
    placed = _condition(pod, "PodScheduled")
    limit = schedule_limits.get(number, SCHEDULE_LIMIT)
    found = _unscheduled(pod, events, now, limit) or _trouble(pod, container, events, now)
    return Replica(
        id=metadata["name"],
        service=metadata["labels"][names.SERVICE],
        revision=number,
        phase=found.phase,
        restarts=int(container.get("restartCount", 0)),
        since=_since(pod, found.phase),
        url=None,
        detail=found.what or None,
        remedy=found.remedy,
        restarted_at=(metadata.get("annotations") or {}).get(names.RESTARTED),
        unplaced=found.unplaced,
        placed_at=placed.get("lastTransitionTime") if placed.get("status") == "True" else None,
    )


def _trouble(
    pod: dict[str, Any],
    container: dict[str, Any],
    events: Callable[[dict[str, Any]], Iterable[str]],
    now: datetime,
) -> Trouble:
    """Return the phase of a pod, with no words where all goes well."""
    if _is_ending(pod):
        return Trouble(ReplicaPhase.STOPPING, "")
    if is_ready(pod):
        return Trouble(ReplicaPhase.READY, "")
    trouble = _waiting(pod, container, now) or _refused(pod, events)
    if trouble is not None:
        return trouble
    if container.get("started") and _was_ready(pod, container):
        return Trouble(ReplicaPhase.UNREADY, "Its health check is not answered.")
    return Trouble(ReplicaPhase.STARTING, "")


def _unscheduled(
    pod: dict[str, Any],
    events: Callable[[dict[str, Any]], Iterable[str]],
    now: datetime,
    limit: float,
) -> Trouble | None:
    """Return that no node takes a pod; `limit` is for one that a node is being added for."""
    condition = _condition(pod, "PodScheduled")
    if condition.get("status") != "False" or _is_ending(pod):
        return None
    what = f"No node takes it: {condition.get('message') or condition.get('reason')}"
    since = pod["metadata"]["creationTimestamp"]
    phase = _in_time(since, now)
    if phase is ReplicaPhase.FAILED and (added := _last_added(events(pod))) is not None:
        phase, what = _in_time(since, now, limit), f"{what} A node is being added: {added}"
    return Trouble(phase, what, _ROOM, unplaced=phase is ReplicaPhase.STARTING)


def _last_added(said: Iterable[str]) -> str | None:
    """Return what an autoscaler of nodes said last of adding one for a pod; None if it did not."""
    return next((each for each in reversed([*said]) if _ADDED.search(each)), None)


def _waiting(pod: dict[str, Any], container: dict[str, Any], now: datetime) -> Trouble | None:
    """Return why a container does not run."""
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    restarts, ended = int(container.get("restartCount", 0)), _last_end(container)
    killed = ended is not None and ended.get("reason") == "OOMKilled"
    if reason in _BAD_IMAGE:
        what = f"Its image cannot be pulled: {message or reason}"
        hopeless = reason == "InvalidImageName" or _HOPELESS.search(message)
        since = _condition(pod, "PodScheduled").get("lastTransitionTime")
        return Trouble(ReplicaPhase.FAILED if hopeless else _in_time(since, now), what, _IMAGE)
    if reason in _BAD_CONTAINER:
        what = f"Its container cannot be made: {message or reason}"
        remedy = f"`kubectl describe pod {pod['metadata']['name']}` shows what its node did."
        return Trouble(ReplicaPhase.FAILED, what, remedy)
    if ended is None or container.get("ready"):
        return None
    most = _MOST_KILLS if killed else _MOST_RESTARTS
    phase = ReplicaPhase.FAILED if restarts >= most else ReplicaPhase.RESTARTING
    return Trouble(phase, _end_text(pod, ended, restarts), _MORE_MEMORY if killed else None)


def _refused(
    pod: dict[str, Any], events: Callable[[dict[str, Any]], Iterable[str]]
) -> Trouble | None:
    """Return what the startup probe says of a wrong answer, or why a volume is missing."""
    for said in events(pod):
        if MARK in said:
            why = said[said.index(MARK) :].strip()
            return Trouble(ReplicaPhase.FAILED, f"{why}{_short_of_memory(pod, why)}")
    return None


def _short_of_memory(pod: dict[str, Any], why: str) -> str:
    """Return what ends a model's own process where the server lives on: a limit of memory."""
    limit = _limits(pod).get("memory")
    if limit is None or not _DEAD_MODEL.search(why):
        return ""
    return (
        f" The process of the model has ended; if it was killed for memory, it needs more than the"
        f" {limit} of its limit. {_MORE_MEMORY}"
    )


def _end_text(pod: dict[str, Any], ended: dict[str, Any], restarts: int) -> str:
    code, reason = ended.get("exitCode"), ended.get("reason")
    times = f"{restarts} times" if restarts > 1 else "once"
    if reason == "OOMKilled":
        limit = _limits(pod).get("memory", "its node has")
        return (
            f"It was killed for memory (OOMKilled) {times}: it needs more than the"
            f" {limit} of its limit."
        )
    said = f": {ended['message'].strip()}" if ended.get("message") else ""
    return f"Its server ended with exit code {code} ({reason}) {times}{said}"


def _limits(pod: dict[str, Any]) -> dict[str, str]:
    server = _server(pod["spec"].get("containers") or ())
    return dict((server.get("resources") or {}).get("limits") or {})


def _container(pod: dict[str, Any]) -> dict[str, Any]:
    return _server(pod.get("status", {}).get("containerStatuses") or ())


def container_of(pod: Mapping[str, Any]) -> str:
    """Return the name of the container that answers requests."""
    return str(_server(pod["spec"]["containers"])["name"])


def _server(containers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the container that answers: the first one in pods that Cloche did not make."""
    named = (each for each in containers if each["name"] == template.CONTAINER)
    return dict(next(named, containers[0] if containers else {}))


def _last_end(container: dict[str, Any]) -> dict[str, Any] | None:
    for state in (container.get("state") or {}, container.get("lastState") or {}):
        if state.get("terminated"):
            return dict(state["terminated"])
    return None


def _condition(pod: Mapping[str, Any], kind: str) -> dict[str, Any]:
    for condition in pod.get("status", {}).get("conditions") or ():
        if condition["type"] == kind:
            return dict(condition)
    return {}


def _was_ready(pod: Mapping[str, Any], container: dict[str, Any]) -> bool:
    """Return whether a container that runs was ready: it stopped being so after its start."""
    changed = _condition(pod, "Ready").get("lastTransitionTime")
    started = ((container.get("state") or {}).get("running") or {}).get("startedAt")
    if changed is None or started is None:
        return True
    return datetime.fromisoformat(changed) > datetime.fromisoformat(started)


def _is_ending(pod: Mapping[str, Any]) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _since(pod: dict[str, Any], phase: ReplicaPhase) -> str:
    changed = _condition(pod, "Ready").get("lastTransitionTime")
    if phase is ReplicaPhase.STOPPING:
        changed = pod["metadata"]["deletionTimestamp"]
    return str(changed or pod["metadata"]["creationTimestamp"])


def _in_time(since: str | None, now: datetime, limit: float = PATIENCE) -> ReplicaPhase:
    """Return STARTING, and FAILED if it has lasted too long."""
    if since is None:
        return ReplicaPhase.STARTING
    waited = (now.astimezone(UTC) - datetime.fromisoformat(since)).total_seconds()
    return ReplicaPhase.STARTING if waited < limit else ReplicaPhase.FAILED
