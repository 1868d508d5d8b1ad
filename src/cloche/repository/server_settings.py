"""How a server runs a model: instances and settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.artifacts import Severity
from cloche.units import size_text

if TYPE_CHECKING:
    from cloche.artifacts import Lock, ModelFacts
    from cloche.repository.backends import Backend
    from cloche.repository.reasons import Reasons
    from cloche.spec import ServiceSpec


def fill(  # noqa: PLR0917 - the stages' values, in the order of the pipeline
    config: Any,
    facts: ModelFacts,
    backend: Backend,
    lock: Lock | None,
    spec: ServiceSpec,
    reasons: Reasons,
) -> None:
    """Set instance_group, and the backend's parameters and optimization.

    Raises UsageError `repository.…` for a value that the backend would refuse.
    """
    instances = spec.instances or 1
    group = config.instance_group.add(count=instances)
    group.kind = group.Kind.Value("KIND_AUTO")
    if spec.instances is None:
        why = "one instance uses all its threads; a second costs the model's memory again"
        reasons.default("instance_group.count", 1, why)
    else:
        reasons.asked("instance_group.count", instances, "instances")
    why = "a GPU if the machine has one, so that the same bytes serve everywhere"
    reasons.default("instance_group.kind", "KIND_AUTO", why)
    _check_memory(facts, spec, instances, reasons)
    backend.configure(config, spec, lock, reasons)
    if spec.server.warmup is False:
        reasons.asked("model_warmup", "none", "server.warmup")
    else:
        why = "a sample that a model refuses would keep it from loading; whoever starts a replica"
        why += " sends it the golden request, which it is known to accept"
        reasons.default("model_warmup", "none", why)
    why = "answers are computed each time; a response cache has to be asked for"
    reasons.default("response_cache.enable", "false", why)


def _check_memory(facts: ModelFacts, spec: ServiceSpec, instances: int, reasons: Reasons) -> None:
    needed, given = facts.memory_bytes, spec.resources.memory
    if needed is None or given is None or needed * instances <= given:
        return
    copies = f"{instances} instances need" if instances > 1 else "the model needs"
    reasons.find(
        Severity.WARNING,
        "memory",
        f"resources.memory is {size_text(given)}, but {copies} about "
        f"{size_text(needed * instances)}.",
        "Raise resources.memory, or lower instances.",
    )
