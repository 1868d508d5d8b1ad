"""Settings that backends share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.errors import UsageError

if TYPE_CHECKING:
    from cloche.repository.reasons import Reasons
    from cloche.spec import ServiceSpec


def write_parameters(config: Any, spec: ServiceSpec, reasons: Reasons) -> None:
    """Pass the spec's own parameters on to the backend."""
    for key, value in spec.server.parameters.items():
        config.parameters[key].string_value = value
        reasons.asked(f"parameters.{key}", value, f"server.parameters.{key}")


def refuse_graph_level(spec: ServiceSpec) -> None:
    """Raise UsageError if a graph level is set: only ONNX Runtime reads it."""
    if spec.server.graph_optimization is not None:
        raise UsageError(
            "repository.graph_optimization",
            "server.graph_optimization is set, but ONNX Runtime does not serve this model.",
            hint="Remove it.",
        )
