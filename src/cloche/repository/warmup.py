"""Whether a replica runs the model once before it is ready, and on which sample.

A failing sample keeps the model from loading (TritonModelInstance::WarmUp), so a sample that nobody
asked for must be one that every model accepts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.artifacts import Severity

if TYPE_CHECKING:
    from cloche.artifacts import ModelFacts
    from cloche.repository.backends import Backend
    from cloche.repository.reasons import Reasons
    from cloche.spec import ServiceSpec


def fill(
    config: Any, facts: ModelFacts, backend: Backend, spec: ServiceSpec, reasons: Reasons
) -> None:
    """Add one sample of zeros with a batch of 1, if asked for or safe."""
    asked, path = spec.server.warmup, "model_warmup"
    if asked is False:
        reasons.asked(path, "none", "server.warmup")
        return
    unknown = [field.name for field in config.input if any(size < 0 for size in field.dims)]
    if unknown:
        names = ", ".join(unknown)
        why = f"the shape of {names} varies by request"
        severity = Severity.WARNING if asked else Severity.NOTE
        what = f"Replicas are not warmed up: {why}."
        reasons.find(severity, "warmup", what, "The first request to each replica is slower.")
        reasons.default(path, "none", why)
        return
    unsafe = backend.unsafe_warmup(facts)
    if unsafe and not asked:
        reasons.default(path, "none", unsafe)
        return
    sample = config.model_warmup.add(name="zeros", batch_size=1, count=1)
    for field in config.input:
        if not field.optional:
            zeros = sample.inputs[field.name]
            zeros.data_type = field.data_type
            zeros.dims.extend(field.dims)
            zeros.zero_data = True
    if asked:
        reasons.asked(path, "one item of zeros", "server.warmup")
    else:
        why = "the first run allocates and plans, so it happens before a replica is ready"
        reasons.default(path, "one item of zeros", why)
