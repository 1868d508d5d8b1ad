"""How requests are joined, how many may wait, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.artifacts import Certainty, Severity
from cloche.errors import UsageError
from cloche.repository.tensors import can_batch
from cloche.units import size_text

if TYPE_CHECKING:
    from cloche.artifacts import ModelFacts
    from cloche.repository.backends import Backend
    from cloche.repository.reasons import Reasons
    from cloche.spec import ServiceSpec

_LARGEST = 1024
"""Most items joined by default: a larger batch gains nothing and only waits."""
_UNKNOWN = 32
"""Largest batch if the memory of one item is unknown."""


def fill(
    config: Any, facts: ModelFacts, backend: Backend, spec: ServiceSpec, reasons: Reasons
) -> bool:
    """Set max_batch_size and dynamic_batching; return whether the model batches.

    Raises UsageError `repository.batching` for a batch that the model cannot take.
    """
    settings = spec.batching
    config.max_batch_size = _maximum(facts, backend, spec, reasons)
    batching = bool(config.max_batch_size > 0)
    sizes = settings.preferred_batch_sizes
    path = "dynamic_batching.preferred_batch_size"
    if not batching and (sizes or settings.max_queue_delay):
        key = "preferred_batch_sizes" if sizes else "max_queue_delay"
        raise _batching_error(f"batching.{key} is set, but this model is served without batches: "
                       f"{_why_not(facts, backend)}", "Remove it.")  # fmt: skip
    if sizes:
        if max(sizes) > config.max_batch_size:
            raise _batching_error(
                f"a preferred batch of {max(sizes)} is more than max_batch_size, which is "
                f"{config.max_batch_size}",
                f"List sizes of at most {config.max_batch_size}, or set max_batch_size too.",
            )
        config.dynamic_batching.preferred_batch_size.extend(sizes)
        reasons.asked(path, list(sizes), "batching.preferred_batch_sizes")
    elif batching:
        reasons.default(
            path,
            "none",
            "only engines built for certain sizes gain from it; others take whatever waits",
        )
    if batching:
        config.dynamic_batching.SetInParent()
        _fill_delay(config.dynamic_batching, settings.max_queue_delay, reasons)
    _fill_queue(config, spec, reasons)
    return batching


def _maximum(facts: ModelFacts, backend: Backend, spec: ServiceSpec, reasons: Reasons) -> int:
    asked, path = spec.batching.max_batch_size, "max_batch_size"
    if asked is not None:
        impossible = can_batch(facts, backend)
        if asked > 0 and impossible:
            hint = "Remove batching.max_batch_size, or export the model with a dynamic first axis."
            raise _batching_error(f"the model cannot be batched: {impossible}", hint)
        reasons.asked(path, asked, "batching.max_batch_size")
        if asked > 0 and not facts.batch.present:
            reasons.find(
                Severity.WARNING,
                "batching",
                f"Requests are joined because max_batch_size is set, although {facts.batch.why}.",
                "Compare the answers to one request alone and to several at once.",
            )
        return asked
    if not _batches(facts, backend):
        why = f"each request is served alone: {_why_not(facts, backend)}"
        (reasons.measured if facts.batch.measured else reasons.model)(path, 0, why)
        if facts.batch.measured:
            reasons.find(
                Severity.WARNING,
                "batching",
                f"Requests are served one by one, without batches: {facts.batch.why}",
                "Nothing has to be done. A model whose rows are independent is served faster.",
            )
        return 0
    value, why = _fitting(facts, backend, spec)
    reasons.default(path, value, f"{facts.batch.why}; {why}")
    return value


def _batches(facts: ModelFacts, backend: Backend) -> bool:
    axis = facts.batch
    believed = axis.present and axis.certainty is not Certainty.UNKNOWN and axis.maximum is None
    return believed and can_batch(facts, backend) is None


def _why_not(facts: ModelFacts, backend: Backend) -> str:
    return (can_batch(facts, backend) if facts.batch.present else None) or facts.batch.why


def _fitting(facts: ModelFacts, backend: Backend, spec: ServiceSpec) -> tuple[int, str]:
    """Return the largest power of two whose batch fits its memory budget, and why."""
    cost = backend.item_cost(facts)
    if isinstance(cost, str):
        return _UNKNOWN, cost
    size, budget = max(cost.size, 1), cost.budget
    if spec.resources.memory is not None:
        held = facts.memory_bytes or facts.size_bytes
        budget = min(budget, (spec.resources.memory // (spec.instances or 1) - held) // 2)
    fitting = max(1, budget // size)
    value = min(1 << (fitting.bit_length() - 1), _LARGEST)
    each = f"{size_text(size)} of {cost.what} each"
    if value == _LARGEST:
        return value, f"items are small ({each}), and more at once gains nothing"
    return value, f"that many items of {each} fit in {size_text(max(budget, 0))}"


def _fill_delay(dynamic: Any, asked: int | None, reasons: Reasons) -> None:
    path = "dynamic_batching.max_queue_delay_microseconds"
    if asked is None:
        reasons.default(
            path,
            0,
            "an idle instance takes waiting requests at once; a busy one lets a batch gather",
        )
        return
    dynamic.max_queue_delay_microseconds = asked
    reasons.asked(path, asked, "batching.max_queue_delay")


def _fill_queue(config: Any, spec: ServiceSpec, reasons: Reasons) -> None:
    """Bound the queue if the spec asks for it.

    Any queue policy takes Triton's batcher off the path that hands over the next batch early. The
    batcher then sleeps until an instance waits, can miss the wake-up, and looks again after 500 ms
    (DynamicBatchScheduler::WaitForPayloadSlotAvailable, in 24.10 as in 2026).
    """
    size, timeout = spec.batching.max_queue_size, spec.batching.queue_timeout
    path = "dynamic_batching.default_queue_policy"
    if size is None and timeout is None:
        why = (
            "with one, Triton's batcher can pause for 500 ms under load (4 and 32 connections to "
            "one instance got a fifth of the requests/s or less); the gateway bounds what waits"
        )
        reasons.measured(path, "none", why)
        return
    policy = config.dynamic_batching.default_queue_policy
    if size is not None:
        policy.max_queue_size = size
        reasons.asked(f"{path}.max_queue_size", size, "batching.max_queue_size")
    if timeout is not None:
        policy.default_timeout_microseconds = timeout
        reasons.asked(f"{path}.default_timeout_microseconds", timeout, "batching.queue_timeout")
        policy.timeout_action = policy.TimeoutAction.Value("REJECT")
        why = "no answer is computed once nobody waits for it"
        reasons.default(f"{path}.timeout_action", "REJECT", why)
        policy.allow_timeout_override = True
        why = "a client may ask for less time, never for more"
        reasons.default(f"{path}.allow_timeout_override", "true", why)
    if (spec.instances or 1) == 1:
        reasons.find(
            Severity.WARNING,
            "queue_policy",
            "With a bound or timeout of its queue, Triton pauses for 500 ms again and again under "
            "load, and serves a fifth of the requests or less.",
            "Remove batching.max_queue_size and queue_timeout: the gateway has its own bounds. "
            "With instances: 2 the pauses are rare.",
        )


def _batching_error(what: str, hint: str) -> UsageError:
    return UsageError("repository.batching", f"{what[0].upper()}{what[1:]}.", hint=hint)
