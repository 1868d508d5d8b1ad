"""Whether enough GPUs are free for all pods of a new revision."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cloche.errors import ConflictError
from cloche.targets.kubernetes import observing, quota
from cloche.targets.kubernetes.gpus import survey as surveys
from cloche.targets.kubernetes.gpus import words
from cloche.units import count_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.targets.desired import Desired
    from cloche.targets.kubernetes.gpus.survey import Nodes, Survey
    from cloche.targets.kubernetes.seen import Seen


def require(
    cluster: Cluster, namespace: str, desired: Desired, template: dict[str, Any], found: Seen
) -> None:
    """Raise ConflictError `target.kubernetes.gpu_room` if all pods of a new revision do not fit.

    They come up beside the live ones, where the rollout does not replace these. Where nodes may be
    added or come back, pods of others give way to these, or it is not known what is free, they are
    tried.
    """
    if surveys.asked(template) is None or template["spec"].get("priorityClassName"):
        return
    count, going = quota.incoming(desired, found)
    seen = _without(surveys.read(cluster, pods=True), namespace, going)
    survey = surveys.survey(seen, template, desired.asked)
    if survey is None or survey.grow or not survey.usable:
        return
    if any(node.resting for node in survey.usable):
        return
    if survey.free is not None and survey.free < count:
        is_beside = bool(observing.asked_split_of(found, desired.service))
        raise _no_room(survey, desired.service, count, is_beside=is_beside)


def _without(seen: Nodes, namespace: str, going: Sequence[dict[str, Any]]) -> Nodes:
    """Return what is seen without the pods of some Deployments."""
    if seen.pods is None:
        return seen
    chosen = [each["spec"]["selector"]["matchLabels"] for each in going]

    def goes(pod: dict[str, Any]) -> bool:
        labels = pod["metadata"].get("labels") or {}
        return pod["metadata"]["namespace"] == namespace and any(
            each.items() <= labels.items() for each in chosen
        )

    return replace(seen, pods=[pod for pod in seen.pods if not goes(pod)])


def _no_room(survey: Survey, service: str, count: int, *, is_beside: bool) -> ConflictError:
    ways = (
        "Write rollout: {capacity: partial}, which replaces one live pod after the other, or"
        " rollout: {capacity: recreate}, which ends them first and has an outage."
        if is_beside
        else "Ask for fewer (`replicas`, `resources.gpu`), scale something down, or add nodes."
    )
    beside = " beside the live one" if is_beside else ""
    return ConflictError(
        "target.kubernetes.gpu_room",
        f"GPUs are free for {survey.free} of {count_text(count, 'pod')} of a new revision of"
        f" {service}{beside}: {words.free(survey.usable)}.",
        where=survey.gpu.resource,
        hint=ways,
    )
