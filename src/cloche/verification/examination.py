"""What a model's own answers tell before its repository is final, and its golden request.

examine(…)        the model answers in a trial; its facts are completed
Examined.golden   the golden request, in the shapes of the final repository
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche.errors import UsageError
from cloche.verification import golden, trial

if TYPE_CHECKING:
    from cloche.artifacts import (
        Finding,
        Golden,
        InferenceBody,
        Member,
        ModelFacts,
        RepositoryMember,
    )
    from cloche.store import Store
    from cloche.verification.asked import Model, Request
    from cloche.verification.spec_example import GivenExample
    from cloche.verification.trial import Trial


@dataclass(frozen=True, slots=True)
class Examined:
    """A model's facts after its trial, and what its golden request is made of."""

    facts: ModelFacts
    requests: tuple[Request, ...]
    expected: InferenceBody | None
    trial: Trial | None
    """None if only the server can run the model."""

    def golden(self, served: RepositoryMember, store: Store) -> Golden:
        """Return the golden request in the shapes of the final repository.

        Raises ClocheError as `cloche.verification.golden`.
        """
        if self.trial is None:
            return golden.without_trial(self.requests, served, store, expected=self.expected)
        return golden.of_trial(self.trial, served, store, expected=self.expected)

    def refuse_batches(self, asked: int | None) -> None:
        """Raise UsageError `golden.rows` if the model mixes the batches that the user asked for."""
        if asked and self.trial is not None and self.trial.mixing is not None:
            raise UsageError(
                "golden.rows",
                "batching.max_batch_size is set, but joining requests would change what callers "
                f"get: {self.trial.mixing}.".replace("..", "."),
                hint="Remove batching.max_batch_size: the model is then served without batches. Or "
                "export it so that the first axis of every output is that of its inputs.",
            )


def examine(
    member: Member,
    served: RepositoryMember,
    example: GivenExample | None,
    model: Model | None,
    store: Store,
    *,
    timeout: float,
    known: InferenceBody | None = None,
) -> Examined:
    """Let a model answer requests; `served` is its member of a draft of the repository.

    `known` is a request that it answered before, without the server.
    `model` says how to run it, None if only its server can. All runs together may take `timeout`
    seconds. Raises ClocheError as `cloche.verification.trial.run`.
    """
    given = example.request if example is not None else None
    expected = example.expected if example is not None else None
    requests, findings = golden.requests(member, served, given, store, known=known)
    if model is None:
        return Examined(_noted(member.facts, findings), tuple(requests), expected, None)
    tried = trial.run(model, requests, member.facts, timeout=timeout)
    findings += golden.refused_example(tried)
    facts = _noted(trial.completed(member.facts, tried), findings)
    return Examined(facts, tuple(requests), expected, tried)


def _noted(facts: ModelFacts, findings: tuple[Finding, ...]) -> ModelFacts:
    new = tuple(each for each in findings if each not in facts.findings)
    return replace(facts, findings=(*facts.findings, *new)) if new else facts
