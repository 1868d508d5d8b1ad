"""The files of an export: plain objects, a kustomization, or a chart of Helm."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

from cloche.images.export.dockerfile import MARK
from cloche.targets.kubernetes.gitops.text import text
from cloche.targets.kubernetes.objects.pod import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Object = dict[str, Any]


def kubernetes(objects: Iterable[Object]) -> dict[str, str]:
    """Return one file for each object, by its name."""
    return {_name(body): f"{MARK}.\n{text(body)}" for body in objects}


def kustomize(objects: Iterable[Object], namespace: str) -> dict[str, str]:
    """Return a kustomization; overlays may set its namespace, images and replicas."""
    bodies = [_without_namespace(body) for body in objects]
    files = kubernetes(bodies)
    head = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": list(files),
    }
    return {"kustomization.yaml": f"{MARK}.\n{text(head)}", **files}


def helm(objects: Iterable[Object], service: str, version: str, model: str) -> dict[str, str]:
    """Return a chart, whose values as they are render the same objects.

    `version` is that of the chart, `model` what it serves.
    """
    bodies = [_without_namespace(body) for body in objects]
    values: dict[str, Any] = {}
    templates = {
        f"templates/{_name(body)}": _template(body, values) for body in copy.deepcopy(bodies)
    }
    chart = {
        "apiVersion": "v2", "name": service, "type": "application", "version": version,
        "appVersion": model, "description": f"{service}, served by Triton.",
    }  # fmt: skip
    return {
        "Chart.yaml": f"{MARK}.\n{text(chart)}",
        "values.yaml": f"{MARK}.\n{text(values)}",
        **templates,
    }


def _name(body: Object) -> str:
    """Return the name of an object's file: `deployment.yaml`, `configmap-NAME.yaml`."""
    kind, name = body["kind"].lower(), body["metadata"]["name"]
    many = {"configmap", "backendtrafficpolicy"}
    return f"{kind}-{name}.yaml" if kind in many else f"{kind}.yaml"


def _without_namespace(body: Object) -> Object:
    metadata = {key: item for key, item in body["metadata"].items() if key != "namespace"}
    return {**body, "metadata": metadata}


# ── templates ─────────────────────────────────────────────────────────────────────────────────


def _template(body: Object, values: dict[str, Any]) -> str:
    """Return an object as a template, and add what may be set there to the values."""
    for key, holder, field in _settable(body):
        if field in holder:
            values[key] = holder[field]
            holder[field] = _sentinel(key)
    written = text(body).replace("{{", '{{ "{{" }}')
    return f"{MARK}.\n{_SENTINEL.sub(_expression(values), written)}"


def _settable(body: Object) -> list[tuple[str, Any, str]]:
    """Return what of an object is a value of the chart: its key, and the field that has it."""
    spec = body.get("spec") or {}
    match body["kind"]:
        case "Deployment":
            pod = spec["template"]["spec"]
            server = next(each for each in pod["containers"] if each["name"] == CONTAINER)
            return [
                ("replicas", spec, "replicas"), ("image", server, "image"),
                ("resources", server, "resources"), ("nodeSelector", pod, "nodeSelector"),
                ("tolerations", pod, "tolerations"), ("imagePullSecrets", pod, "imagePullSecrets"),
            ]  # fmt: skip
        case "ScaledObject":
            return [
                ("minReplicas", spec, "minReplicaCount"), ("maxReplicas", spec, "maxReplicaCount"),
            ]  # fmt: skip
        case "HorizontalPodAutoscaler":
            return [("minReplicas", spec, "minReplicas"), ("maxReplicas", spec, "maxReplicas")]
        case "HTTPRoute":
            return [("hostnames", spec, "hostnames"), ("parentRefs", spec, "parentRefs")]
    return []


_SENTINEL = re.compile(r"^(?P<indent>[ -]*)(?P<field>\w+): value-of-(?P<key>\w+)-$", re.MULTILINE)


def _sentinel(key: str) -> str:
    return f"value-of-{key}-"


def _expression(values: Mapping[str, Any]) -> Any:
    """Return what puts the value of the chart in the place of a sentinel."""

    def replaced(match: re.Match[str]) -> str:
        indent, field, key = match["indent"], match["field"], match["key"]
        if isinstance(values[key], dict | list):
            inner = len(indent) + 2
            block = f"{{{{- toYaml .Values.{key} | nindent {inner} }}}}"
            return f"{indent}{field}:\n{' ' * inner}{block}"
        quoted = " | quote" if isinstance(values[key], str) else ""
        return f"{indent}{field}: {{{{ .Values.{key}{quoted} }}}}"

    return replaced
