"""The config.pbtxt of one model, with a reason for each field's value.

Writes only fields that the oldest supported Triton (release 24.10) parses, and nothing that depends
on the machine: no absolute paths, no device numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.model_config.messages import messages, to_text
from cloche.model_config.names import VERSION
from cloche.repository import batching, labels, server_settings, tensors
from cloche.repository.reasons import Reasons

if TYPE_CHECKING:
    from cloche.artifacts import Finding, Lock, ModelFacts, Reason
    from cloche.repository.backends import Backend
    from cloche.repository.tensors import Tensors
    from cloche.spec import ServiceSpec


@dataclass(frozen=True, slots=True)
class Composed:
    """A configuration with its reasons and findings."""

    text: bytes
    tensors: Tensors
    """Inputs and outputs as clients see them: the batch axis is -1."""
    max_batch_size: int
    labels: bytes | None
    """The file with the names of classes; None without any."""
    reasons: tuple[Reason, ...]
    findings: tuple[Finding, ...]


def compose(
    service: str,
    facts: ModelFacts,
    backend: Backend,
    spec: ServiceSpec,
    *,
    lock: Lock | None = None,
    filename: str | None = None,
) -> Composed:
    """Return the configuration of a model with these facts under this spec.

    `filename` names the model's file in its version folder if it is not the backend's default.
    Raises UsageError if the spec asks for something that the model cannot do.
    """
    reasons = Reasons()
    config: Any = messages().ModelConfig()
    config.name = service
    reasons.asked("name", service, "the service's name")
    config.backend = backend.name
    reasons.model("backend", backend.name, backend.reason(facts))
    if filename is not None:
        config.default_model_filename = filename
        why = "the model's weights take the default name"
        reasons.model("default_model_filename", filename, why)
    config.version_policy.specific.versions.append(VERSION)
    why = "versions are revisions of the service; no other version folder is loaded"
    reasons.default("version_policy.specific.versions", [VERSION], why)
    batches = batching.fill(config, facts, backend, spec, reasons)
    shapes = tensors.fill(config, facts, backend, batching=batches, reasons=reasons)
    names = labels.fill(config, facts, reasons)
    server_settings.fill(config, facts, backend, lock, spec, reasons)
    return Composed(
        text=to_text(config),
        tensors=shapes,
        max_batch_size=int(config.max_batch_size),
        labels=names,
        reasons=tuple(reasons.reasons),
        findings=tuple(reasons.findings),
    )
