"""A trial: a model answers requests outside the server, before its repository is final.

The first request that the model accepts, with an answer that can prove something, becomes the
golden request. Its rows are also run alone and in another order: a model whose answer then differs
by more than its own noise mixes the requests of a batch.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cloche.artifacts import Finding, RequestOrigin, Severity
from cloche.errors import ClocheError
from cloche.sandbox import remedies
from cloche.verification import declared_answer, direct_run, noise
from cloche.verification.comparison import Answer, Tolerances, compare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloche.artifacts import ModelFacts, TensorSpec
    from cloche.verification.asked import Accepted, Attempts, Model, Refused, Request, Tensors
    from cloche.verification.noise import Noise

_ASSUMED = "inspection.mlflow.outputs"
"""The finding of inspection about outputs that nothing declares."""
_LONGEST = 300
_REPEATED = 3
"""Most refused requests that the server is asked to refuse too."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a model answered, and what follows from it."""

    requests: tuple[Request, ...]
    """The accepted request, or those that were refused."""
    answer: Accepted | None
    noise: Noise = field(default_factory=dict)
    """Empty if it was not measured."""
    mixing: str | None = None
    """How the answer to a batch shows that requests must not be joined; None if it does not."""
    why_refused: str | None = None
    refused_example: str | None = None
    """The model's error for its own stored example, if another request took its place."""
    inputs: tuple[TensorSpec, ...] | None = None
    outputs: tuple[TensorSpec, ...] | None = None
    """The model's tensors as its runtime loaded them; None if it does not say."""


def run(model: Model, requests: Sequence[Request], facts: ModelFacts, *, timeout: float) -> Trial:
    """Run requests in turn until the model answers one.

    All calls of the model together may take `timeout` seconds. Raises ClocheError: as
    `direct_run.attempt`; `golden.refused` if the model refuses the user's example;
    `golden.failed` if no request was accepted and something else than the requests is to blame.
    """
    deadline = time.monotonic() + timeout
    declared = {} if facts.outputs_assumed else {s.name: s.shape for s in facts.outputs}
    attempts = direct_run.attempt(model, requests, outputs=declared, timeout=timeout)
    accepted = attempts.accepted
    if accepted is None:
        return _without_answer(model, attempts, requests)
    request = requests[accepted.request]
    mixing: str | None = None
    measured: Noise = {}
    if request.rows:
        left = max(deadline - time.monotonic(), 1.0)
        mixing, measured = _mixing(model, request, accepted, timeout=left)
    return Trial(
        (request,),
        accepted,
        measured,
        mixing,
        refused_example=_refused_example(attempts.refused, requests),
        inputs=attempts.inputs,
        outputs=attempts.outputs,
    )


def _refused_example(refused: Sequence[Refused], requests: Sequence[Request]) -> str | None:
    for each in refused:
        if requests[each.request].origin is RequestOrigin.STORED:
            return each.error
    return None


def _without_answer(model: Model, attempts: Attempts, requests: Sequence[Request]) -> Trial:
    """Return the trial of a model that refuses every request; raises if its input is not why."""
    for refused in attempts.refused:
        given = requests[refused.request].origin is RequestOrigin.GIVEN
        if refused.kind == "model":
            raise _failed(model, refused)
        if given:
            raise _refused_given(refused)
    by_input = [refused for refused in attempts.refused if refused.kind == "input"]
    if not by_input:
        raise _failed(model, attempts.refused[0])
    return Trial(
        tuple(requests[refused.request] for refused in by_input[:_REPEATED]),
        None,
        why_refused=_brief(by_input[0].error),
        refused_example=_refused_example(attempts.refused, requests),
        inputs=attempts.inputs,
        outputs=attempts.outputs,
    )


def _brief(error: str) -> str:
    """Return an error as one line without the source files of a runtime."""
    line = " ".join(re.sub(r"/\S+\.(cc|h|cpp|cu):\d+", "", error).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _failed(model: Model, refused: Refused) -> ClocheError:
    hint = {
        "model": "The request is not the cause: correct the model's code or its requirements, and"
        " log it again.",
        "memory": "Give it a smaller request: deploy with --example FILE, or write `example: FILE`"
        " in cloche.yaml.",
    }.get(refused.kind, "Give it a request that it can answer: deploy with --example FILE.")
    remedy = remedies.of_files([refused.error]) if model.closes_files else None
    what = f"The model, run directly, fails: {refused.error.strip()}"
    return ClocheError("golden.failed", what, hint=remedy or hint)


def _refused_given(refused: Refused) -> ClocheError:
    return ClocheError(
        "golden.refused",
        f"The model, run directly, refuses the example: {refused.error.strip()}",
        hint="Give it an example that it can answer.",
    )


# ── whether requests may be joined ────────────────────────────────────────────────────────────


def _mixing(
    model: Model, request: Request, accepted: Accepted, *, timeout: float
) -> tuple[str | None, Noise]:
    """Return how rows depend on each other, and the model's noise if it had to be measured."""
    reason = _rows_missing(accepted, request.rows)
    if reason is not None or _disagreement(accepted, Tolerances()) is None:
        return reason, {}
    measured = noise.measure(model, request, accepted.outputs, timeout=timeout)
    return _disagreement(accepted, Tolerances(measured)), measured


def _rows_missing(accepted: Accepted, rows: int) -> str | None:
    if accepted.rows_error is not None:
        return f"it refuses a single row of a request ({accepted.rows_error.strip()})"
    for name, array in accepted.outputs.items():
        if not array.ndim or len(array) != rows:
            first = len(array) if array.ndim else "no"
            return f"the output {name} has {first} rows for a request of {rows}"
    return None


def _disagreement(accepted: Accepted, tolerances: Tolerances) -> str | None:
    for other, words in (
        (accepted.alone, "answers a batch differently from its rows one by one"),
        (accepted.permuted, "answers the rows of a batch differently in another order"),
    ):
        if other is None:
            continue
        whole, rows = _answer_of(accepted.outputs), _answer_of(other)
        for difference in compare(rows, whole, tolerances):
            if difference.detail is not None:
                return f"it {words}: {difference.detail}"
    return None


def _answer_of(tensors: Tensors) -> Answer:
    from cloche.verification.reference.scripts import exchange

    return Answer(tensors, {name: exchange.datatype_of(array) for name, array in tensors.items()})


# ── what it tells of the model ────────────────────────────────────────────────────────────────


def completed(facts: ModelFacts, trial: Trial) -> ModelFacts:
    """Return facts with the shapes that the runtime loaded, and requests joined only if they may.

    The runtime that serves compares the configuration with its own shapes, so they win.
    """
    facts = replace(
        facts,
        inputs=_merged(facts.inputs, trial.inputs),
        outputs=_merged(facts.outputs, trial.outputs),
    )
    if trial.answer is not None:
        facts = _with_outputs(facts, trial.answer.outputs)
    if trial.mixing is None:
        return facts
    axis = replace(facts.batch, present=False, why=trial.mixing, measured=True)
    return replace(facts, batch=axis)


def _with_outputs(facts: ModelFacts, answer: Tensors) -> ModelFacts:
    """Return facts with outputs as the model answered them, where nothing else declares them."""
    if not facts.outputs_assumed:
        return replace(facts, outputs=declared_answer.with_marks(facts.outputs, answer))
    found = declared_answer.found_outputs(answer)
    names = ", ".join(f"{spec.name} {spec.datatype}" for spec in found)
    what = f"Nothing declares the outputs; a run of the model showed {names}."
    noted = Finding(Severity.NOTE, "golden.outputs_found", what)
    kept = tuple(each for each in facts.findings if each.code != _ASSUMED)
    return replace(facts, outputs=found, outputs_assumed=False, findings=(*kept, noted))


def _merged(
    declared: tuple[TensorSpec, ...], loaded: tuple[TensorSpec, ...] | None
) -> tuple[TensorSpec, ...]:
    known = {spec.name: spec for spec in loaded or ()}
    return tuple(
        _merge(spec, known[spec.name]) if spec.name in known else spec for spec in declared
    )


def _merge(declared: TensorSpec, loaded: TensorSpec) -> TensorSpec:
    """Return a tensor in its loaded shape; a runtime that knows no rank says `()`."""
    if loaded.shape == declared.shape or (declared.shape and not loaded.shape):
        return declared
    labels = declared.labels if len(declared.labels) == len(loaded.shape) else ()
    labels = tuple(
        label if size < 0 else None for label, size in zip(labels, loaded.shape, strict=False)
    )
    return replace(declared, shape=loaded.shape, labels=labels, declared=declared.shape)
