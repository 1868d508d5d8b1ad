"""Errors in a cloche.yaml: one per mistake, with its place and a remedy."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from cloche.errors import UsageError
from cloche.spec.inputs import Input
from cloche.spec.model import ServiceSpec
from cloche.spec.scaling import Autoscale
from cloche.spec.sections import Batching, Health, Resources, Rollout, Sandbox, Server
from cloche.spec.targets import KubernetesTarget, Limits, TargetResources, Toleration

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

_SECTIONS: dict[tuple[str, ...], type[BaseModel]] = {
    (): ServiceSpec,
    ("autoscale",): Autoscale,
    ("batching",): Batching,
    ("health",): Health,
    ("resources",): Resources,
    ("rollout",): Rollout,
    ("sandbox",): Sandbox,
    ("server",): Server,
    ("targets", "NAME"): KubernetesTarget,
    ("targets", "NAME", "autoscale"): Autoscale,
    ("targets", "NAME", "resources"): TargetResources,
    ("targets", "NAME", "resources", "limits"): Limits,
    ("targets", "NAME", "tolerations", "0"): Toleration,
}
_NOT_SERVED = {
    ("access",): "Remove it; the gateway listens on this machine only.",
    ("follow",): "Remove it; deploy again when the alias has moved.",
    ("models",): "Remove it; write one file per model.",
    ("pipeline",): "Remove it; an ensemble is served as a finished Triton repository.",
    ("precision",): "Remove it; the model is served in the precision it was saved in.",
    ("rollout", "interval"): "Remove it; a verified revision takes all traffic at once.",
    ("rollout", "steps"): "Remove it; a verified revision takes all traffic at once.",
    ("slo",): "Remove it; watch latency with `cloche status` and Triton's metrics.",
    ("targets", "NAME", "access"): "Remove it; let your Gateway ask for keys.",
}
_MISSING = {
    "model": "Write where the model is, such as model: models:/NAME@ALIAS or ./model.onnx.",
    "shape": "Write its sizes, such as shape: [batch, 3, 224, 224].",
    "datatype": "Write its type, such as datatype: FP32.",
    "kind": "Write kind: kubernetes.",
    "context": "Write a context of your kubeconfig; `kubectl config get-contexts` lists them.",
    "namespace": "Write the namespace in which the service runs.",
    "registry": "Write where its images go, such as registry: registry.example.com/vision.",
}
_KINDS: dict[str, str] = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "string_type": "text",
    "model_type": "a group of keys",
    "model_attributes_type": "a group of keys",
    "dict_type": "a group of keys",
    "tuple_type": "a list",
    "list_type": "a list",
    "bool_type": "true or false",
}
_PATTERNS: dict[str | int | None, tuple[str, str]] = {
    "class": ("a class by its module", "Write one like torchvision.models.resnet50."),
    "python": ("a release of Python", 'Write one like "3.12", in quotes.'),
    "namespace": ("the name of a namespace", "Use a-z, 0-9 and inner dashes, at most 63."),
    "prometheus": ("the name of a namespace", "Use a-z, 0-9 and inner dashes, at most 63."),
    "prometheus_url": ("a URL", "Write one like http://prometheus.monitoring.svc:9090."),
    "registry": ("a registry with a path", "Write one like registry.example.com/vision."),
    "gateway": ("a Gateway", "Write one like gateway: infra/public."),
    "host": ("a hostname", "Write one like scores.example.com."),
    "targets": ("the name of a target", "Use a-z, 0-9 and inner dashes, at most 63."),
    **dict.fromkeys(
        ("labels", "annotations", "node_selector"),
        ("a label of Kubernetes", "Use letters, digits, dots, dashes and underscores."),
    ),
    **dict.fromkeys(
        ("pull_secret", "runtime_class", "priority_class", "service_account"),
        ("the name of an object", "Use a-z, 0-9, dots and inner dashes."),
    ),
    None: ("the name of a parameter", "Use letters, digits, dots, dashes and underscores."),
}
"""What a value is that does not fit its pattern, by its key, and the hint."""
_HINTS = {
    "true or false": "Write true or false.",
    "a whole number": "Write a number, such as 2.",
    "text": "Write one line of text.",
    "a group of keys": "Write keys below it, one per line, or in braces: {key: value}.",
    "a list": "Write it in brackets, such as [4, 8].",
}


def errors_of(
    invalid: ValidationError, place: Callable[[tuple[str | int, ...]], str | None]
) -> list[UsageError]:
    """Return one error per mistake; `place` returns the location of a path of keys."""
    return [_error(details, place) for details in invalid.errors(include_url=False)]


def _error(
    details: ErrorDetails, place: Callable[[tuple[str | int, ...]], str | None]
) -> UsageError:
    path = tuple(step for step in details["loc"] if step != "[key]")
    where = place(path)
    if details["type"] == "extra_forbidden":
        return _unknown_key(tuple(str(step) for step in path), where)
    if details["type"] == "missing":
        what = f"`{_key_text(path)}` is missing."
        return UsageError("spec.missing", what, where=where, hint=_MISSING[str(path[-1])])
    what, hint = _wording(details)
    name = f"`{_key_text(path)}`: " if path else ""
    return UsageError("spec.value", f"{name}{what}.", where=where, hint=hint)


def _unknown_key(path: tuple[str, ...], where: str | None) -> UsageError:
    name = _key_text(path)
    general = _general(path)
    if general in _NOT_SERVED:
        what = f"This version does not support `{name}`."
        return UsageError("spec.not_served", what, where=where, hint=_NOT_SERVED[general])
    return UsageError("spec.unknown", f"Unknown key `{name}`.", where=where, hint=_nearest(path))


def _general(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return a path with the name of a target as NAME and each index as 0."""
    if path[:1] != ("targets",) or len(path) == 1:
        return path
    rest = ("0" if step.isdigit() else step for step in path[2:])
    return ("targets", "NAME", *rest)


def _nearest(path: tuple[str, ...]) -> str:
    """Return a hint at the intended key: one of the same section, or the same key of another."""
    section, key = path[:-1], path[-1]
    fields = Input if section[:1] == ("inputs",) else _SECTIONS[_general(section)]
    known = [field.alias or name for name, field in fields.model_fields.items()]
    close = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1)
    if close:
        return f"Did you mean `{_key_text((*section, close[0]))}`?"
    for other, model in _SECTIONS.items():
        if key in model.model_fields and "NAME" not in other:
            return f"Did you mean `{_key_text((*other, key))}`?"
    if key == "<<":
        return "Merge keys are not part of YAML 1.2; write the keys out."
    return f"The keys here are {', '.join(known)}."


def _wording(details: ErrorDetails) -> tuple[str, str]:
    """Return the problem and the remedy for one value."""
    context: dict[str, Any] = details.get("ctx", {})
    kind = details["type"]
    if kind == "quantity":
        return str(context["what"]), str(context["hint"])
    if kind in _KINDS:
        wanted, value = _KINDS[kind], details["input"]
        is_bare = wanted == "text" and isinstance(value, int | float)
        hint = "Put quotes around it." if is_bare else _HINTS[wanted]
        return f"{_value_text(value)} is not {wanted}", hint
    if kind in {"greater_than_equal", "less_than_equal"}:
        bound, side = next((context[key], key) for key in ("ge", "le") if key in context)
        what = f"{_value_text(details['input'])} is {'below' if side == 'ge' else 'above'} {bound}"
        return what, f"Write {bound} or {'more' if side == 'ge' else 'less'}."
    if kind == "literal_error":
        what = f"{_value_text(details['input'])} is not one of the choices"
        return what, f"Write one of {context['expected']}."
    if kind == "string_pattern_mismatch":
        where = details["loc"][-3] if details["loc"][-1] == "[key]" else details["loc"][-1]
        kind, hint = _PATTERNS.get(where, _PATTERNS[None])
        return f"{_value_text(details['input'])} is not {kind}", hint
    return details["msg"].rstrip(".").lower(), "Correct the value or remove the key."


def _value_text(value: Any) -> str:
    if value is None:
        return "an empty value"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a group of keys"
    if isinstance(value, list | tuple):
        return "a list"
    text = str(value)
    text = text if len(text) <= 60 else f"{text[:57]}…"
    return repr(text) if isinstance(value, str) else text


def _key_text(path: tuple[str | int, ...]) -> str:
    dotted = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return dotted.removeprefix(".")
