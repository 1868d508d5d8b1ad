"""Whether a replica's answer to its golden request is right."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.targets.local.health.probing import Outcome

if TYPE_CHECKING:
    from cloche.artifacts import Golden, ModelRepository
    from cloche.store import Store
    from cloche.targets.local.health.golden_call import GoldenAnswer

_TOO_MUCH_TO_DO = {http.client.TOO_MANY_REQUESTS, http.client.SERVICE_UNAVAILABLE}
_MOST_WORDS = 300


class Judging:
    """Judges the answers of one process to one golden request."""

    def __init__(self, golden: Golden, repository: ModelRepository, store: Store) -> None:
        self._golden = golden
        self._repository = repository
        self._store = store
        self._right: GoldenAnswer | None = None
        self._values: bool | None = None
        """Whether values are compared; None before the first answer."""

    def outcome(self, answer: GoldenAnswer | None) -> Outcome:
        """Return what an answer, or none, says of the process."""
        if answer is None or answer.status in _TOO_MUCH_TO_DO:
            return Outcome(0.0, answered=False)
        refused = answer.status != http.client.OK
        return Outcome(answer.seconds, wrong=self._fault(answer), refused=refused)

    def _fault(self, answer: GoldenAnswer) -> str | None:
        if answer.status != http.client.OK:
            words = answer.body.decode("utf-8", "replace")[:_MOST_WORDS]
            return f"it was refused with {answer.status}: {words}"
        known = self._right
        if known is not None and (known.body, known.header_length) == (
            answer.body,
            answer.header_length,
        ):
            return None  # most answers are the same byte for byte, and take no time to judge
        wrong = self._judge(answer)
        if wrong is None:
            self._right = answer
        return wrong

    def _judge(self, answer: GoldenAnswer) -> str | None:
        from cloche.verification import noise, replay
        from cloche.verification.comparison import Tolerances

        try:
            measured = noise.recall(self._repository.digest, self._golden, self._store)
            fault = replay.fault(
                self._golden,
                answer.body,
                answer.header_length,
                model=self._repository.main,
                store=self._store,
                tolerances=Tolerances(self._golden.noise or measured or {}),
            )
        except ClocheError:  # the expected answer is no longer kept: nothing judges
            return None
        if self._values is None:
            # It was verified with what its model's own answers differ by. Where that is forgotten,
            # a new process that differs is judged by types from then on.
            self._values = measured is not None or fault.values is None
        return fault.types or (fault.values if self._values else None)
