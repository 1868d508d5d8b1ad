"""One run: senders, and what is watched meanwhile."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway_fuzz.bystander import Bystander
from gateway_fuzz.sending import Sender
from gateway_fuzz.watching import Watched, answers_right

_LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class Plan:
    """How much is sent: the same plan sends the same requests, on each connection in order."""

    requests: int
    seed: int
    connections: int = 4
    seconds: float = 1800.0


def run(plan: Plan, address: str, model: str, watched: Sequence[Watched]) -> dict[str, Any]:
    """Send what is planned, and return what was answered; raises AssertionError for a fault."""
    began, over = time.monotonic(), False

    def stops() -> bool:
        return over or time.monotonic() - began > plan.seconds

    bystander = Bystander(address, model)

    def ask() -> None:
        answers_right(address, model)
        bystander.ask()

    ask()
    for each in watched:
        each.begin()
    share = plan.requests // plan.connections
    senders = [
        Sender(address, model, share, plan.seed * 1000 + number, stops)
        for number in range(plan.connections)
    ]
    try:
        for sender in senders:
            sender.start()
        _watch(senders, watched, ask)
    except AssertionError as error:
        raise AssertionError(_told(error, plan, senders)) from error
    finally:
        over = True
        bystander.close()
        for sender in senders:
            sender.join(60)
    return _report(plan, senders, watched, time.monotonic() - began)


def _watch(senders: Sequence[Sender], watched: Sequence[Watched], ask: Callable[[], None]) -> None:
    """Look at the processes, and ask for a good answer, until all is sent and after that."""
    while any(sender.is_alive() for sender in senders):
        for each in watched:
            each.look()
        ask()
        time.sleep(_LOOK_SECONDS)
    for sender in senders:
        if sender.failure is not None:
            raise sender.failure
    ask()
    for each in watched:
        each.end()


def _told(error: AssertionError, plan: Plan, senders: Sequence[Sender]) -> str:
    """Return what is wrong, and the last requests, one of which may have been the cause."""
    last = [repr(request)[:2000] for sender in senders for request in sender.sent.last]
    return "\n".join([str(error), f"seed {plan.seed}, last sent:", *last])


def _report(
    plan: Plan, senders: Sequence[Sender], watched: Sequence[Watched], seconds: float
) -> dict[str, Any]:
    answers: Counter[tuple[str, str]] = Counter()
    for sender in senders:
        answers.update(sender.sent.answers)
    kinds = sorted({kind for kind, _ in answers})
    return {
        "requests": sum(answers.values()),
        "seed": plan.seed,
        "seconds": round(seconds, 1),
        "slowest_seconds": round(max(sender.sent.slowest for sender in senders), 2),
        "answers": {
            kind: {status: n for (each, status), n in sorted(answers.items()) if each == kind}
            for kind in kinds
        },
        "processes": [each.summary() for each in watched],
    }
