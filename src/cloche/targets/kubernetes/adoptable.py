"""What can be adopted, judged from what a namespace has: pure, so that a table of cases tests it.

A Deployment can be adopted with the one Service before it, if whatever the Service leads to can be
exchanged by moving its selector: to the same ports of other pods, and from no other pods.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.errors import ClocheError, ConflictError, UnavailableError, UsageError
from cloche.targets.kubernetes import keepers, names
from cloche.targets.kubernetes.objects.pod import PORTS
from cloche.targets.kubernetes.pods import is_ready
from cloche.targets.kubernetes.writing import replicas_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_LISTED = 5
_HEADLESS = "None"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a namespace has of the kinds that matter."""

    pods: Sequence[Mapping[str, Any]]
    """Those of the Deployment."""
    others: Sequence[Mapping[str, Any]]
    """All other pods."""
    scalers: Sequence[Mapping[str, Any]]
    """HorizontalPodAutoscalers and ScaledObjects."""


def leading(
    workload: Mapping[str, Any], services: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return the Services whose selector chooses the pods of a Deployment."""
    labels = workload["spec"]["template"]["metadata"].get("labels") or {}
    return [each for each in services if _chooses(each, labels)]


def service_of(
    workload: Mapping[str, Any], services: Sequence[Mapping[str, Any]], asked: str | None
) -> Mapping[str, Any]:
    """Return the Service before a Deployment; `asked` names one of several.

    Raises NotFoundError and ConflictError `adopt.service`.
    """
    name, found = workload["metadata"]["name"], leading(workload, services)
    listed = [str(each["metadata"]["name"]) for each in found]
    chosen = [each for each in found if asked in {None, each["metadata"]["name"]}]
    if len(chosen) == 1:
        return chosen[0]
    if len(found) > 1 and asked is None:
        what = f"{len(found)} Services lead to Deployment {name}: {', '.join(listed)}."
        hint = "Name the one that clients use with --service; the others stay as they are."
    else:
        named = f"Service {asked} does not lead" if asked else "No Service leads"
        what = f"{named} to Deployment {name}."
        labels = workload["spec"]["template"]["metadata"].get("labels") or {}
        text = ", ".join(f"{key}: {value}" for key, value in labels.items())
        there = f"Those that do: {', '.join(listed)}." if listed else ""
        hint = there or f"Its pods have the labels {text}: a Service needs such a selector."
    raise ConflictError("adopt.service", what, where=name, hint=hint)


def problems(
    service: str, workload: Mapping[str, Any], front: Mapping[str, Any], around: Surroundings
) -> Iterator[ClocheError]:
    """Yield why a Deployment and its Service cannot be adopted as a service of Cloche."""
    yield from _kept(workload, "Deployment")
    yield from _kept(front, "Service")
    yield from _named(service, workload, front)
    yield from _unready(workload, around.pods)
    yield from _scaled(workload, around.scalers)
    yield from _shape(front)
    yield from _shared(workload, front, around.others)
    yield from _ports(workload, front)


def _kept(body: Mapping[str, Any], kind: str) -> Iterator[ClocheError]:
    name, keeper = body["metadata"]["name"], keepers.keeper_of(body)
    if keeper is not None:
        yield ConflictError(
            "adopt.kept",
            f"{kind} {name} is not made by hand: {keeper} keeps it.",
            where=name,
            hint="Have it let go of it first: it would undo what Cloche changes.",
        )


def _named(
    service: str, workload: Mapping[str, Any], front: Mapping[str, Any]
) -> Iterator[ClocheError]:
    """Yield that names are those of objects that Cloche makes for later revisions."""
    ours = re.compile(rf"{re.escape(names.of_service(service))}-r\d+")
    for kind, body in (("Deployment", workload), ("Service", front)):
        name = body["metadata"]["name"]
        if ours.fullmatch(name):
            yield ConflictError(
                "adopt.name",
                f"{kind} {name} has the name of a later revision of {service}.",
                where=name,
                hint="Adopt it under another name for the service.",
            )


def _unready(
    workload: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]
) -> Iterator[ClocheError]:
    name, status = workload["metadata"]["name"], workload.get("status") or {}
    wanted = replicas_of(dict(workload))
    if not any(is_ready(pod) for pod in pods):
        what = f"No pod of Deployment {name} is ready, so nothing is known of what it serves."
        hint = f"`kubectl describe deployment {name}` says why."
        yield UnavailableError("adopt.not_ready", what, where=name, hint=hint)
        return
    current = status.get("observedGeneration") == workload["metadata"].get("generation")
    if not current or status.get("updatedReplicas", 0) < wanted or len(pods) > wanted:
        what = f"Deployment {name} is being rolled out or scaled."
        hint = f"Wait for it: `kubectl rollout status deployment/{name}`."
        yield UnavailableError("adopt.not_ready", what, where=name, hint=hint)


def _scaled(
    workload: Mapping[str, Any], scalers: Sequence[Mapping[str, Any]]
) -> Iterator[ClocheError]:
    name = workload["metadata"]["name"]
    for each in scalers:
        asked, own = each["spec"]["scaleTargetRef"], each["metadata"]["name"]
        if asked["name"] == name and asked.get("kind", "Deployment") == "Deployment":
            yield ConflictError(
                "adopt.scaled",
                f"{each['kind']} {own} scales Deployment {name}, and would not scale what follows.",
                where=own,
                hint="Remove it, and write `autoscale:` in cloche.yaml, which goes with each"
                " revision.",
            )


def _shape(front: Mapping[str, Any]) -> Iterator[ClocheError]:
    name, spec = front["metadata"]["name"], front["spec"]
    if spec.get("clusterIP") == _HEADLESS:
        yield UsageError(
            "adopt.headless",
            f"Service {name} is headless: its clients have the addresses of pods, which no"
            " selector moves.",
            where=name,
            hint="Put a Service with an address of its own before it, and have clients use that.",
        )
    if spec.get("publishNotReadyAddresses"):
        yield UsageError(
            "adopt.unready_addresses",
            f"Service {name} leads to pods that are not ready (publishNotReadyAddresses), so a new"
            " revision would be asked before it can answer.",
            where=name,
            hint="Take that out of the Service.",
        )


def _shared(
    workload: Mapping[str, Any], front: Mapping[str, Any], others: Sequence[Mapping[str, Any]]
) -> Iterator[ClocheError]:
    """Yield that the Service also leads to pods of something else."""
    shared = sorted(
        str(each["metadata"]["name"])
        for each in others
        if _chooses(front, each["metadata"].get("labels") or {})
    )
    if shared:
        name = front["metadata"]["name"]
        more = ", …" if len(shared) > _LISTED else ""
        yield ConflictError(
            "adopt.shared",
            f"Service {name} also leads to pods that are not of Deployment"
            f" {workload['metadata']['name']}: {', '.join(shared[:_LISTED])}{more}.",
            where=name,
            hint="They would get no more requests. Give the Service a selector that chooses one"
            " Deployment, or remove the others.",
        )


def _ports(workload: Mapping[str, Any], front: Mapping[str, Any]) -> Iterator[ClocheError]:
    """Yield the ports of a Service that lead to none which a later revision has."""
    name, named = front["metadata"]["name"], _named_ports(workload)
    for each in front["spec"].get("ports") or ():
        target = each.get("targetPort", each["port"])
        number = named.get(target) if isinstance(target, str) else target
        if number in PORTS.values() and (target == number or PORTS.get(target) == number):
            continue
        own = ", ".join(f"{port} ({key})" for key, port in PORTS.items())
        yield UsageError(
            "adopt.port",
            f"Port {each['port']} of Service {name} leads to port {target} of the pods. Those of a"
            f" later revision answer at {own}.",
            where=name,
            hint="Have the server listen there and the Service lead to these numbers, or adopt"
            " another Service with --service.",
        )


def _named_ports(workload: Mapping[str, Any]) -> dict[str, int]:
    return {
        port["name"]: port["containerPort"]
        for container in workload["spec"]["template"]["spec"]["containers"]
        for port in container.get("ports") or ()
        if "name" in port
    }


def _chooses(service: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    selector = service["spec"].get("selector") or {}
    return bool(selector) and selector.items() <= labels.items()
