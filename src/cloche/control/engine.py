"""The engine: a control plane over a state, a journal, a target and a verifier.

It knows no implementation of them and no HTTP, so it runs in any process: in the daemon of a home,
or in a command. It records a request and wakes the reconcile loop, which carries it out.
"""

from __future__ import annotations

import copy
import time
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from cloche.control import requests
from cloche.control.commands import Commands
from cloche.control.news import News
from cloche.control.queries import Queries
from cloche.control.reconcile import Reconciler
from cloche.errors import ConflictError
from cloche.targets import ReplicaAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from contextlib import AbstractContextManager

    from cloche.artifacts import (
        Consent,
        DeployAnswer,
        Deployment,
        DeployPlan,
        Event,
        Golden,
        ReplicaRange,
        Revision,
        RevisionStatus,
        Verification,
    )
    from cloche.control.verifier import Verifier
    from cloche.rollout.situation import Limits
    from cloche.state import Hold, Journal, State
    from cloche.targets import Target

_MOST_EVENTS = 1000
_LOOK_SECONDS = 1.0
"""Between looks for events that another host may have written."""


class Engine:
    """Implements `cloche.control.plane.ControlPlane`; `by` is the recorded author of requests.

    `hold` says for which services it may act; without one it is for all. Requests need no hold:
    they are recorded, and the host that holds the service carries them out.
    """

    def __init__(
        self,
        state: State,
        journal: Journal,
        target: Target,
        verifier: Verifier,
        *,
        by: str = "",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        limits: Limits | None = None,
        keep_limit: int | None = None,
        hold: Hold | None = None,
    ) -> None:
        self._state = state
        self._journal = journal
        self._target = target
        self._verifier = verifier
        self._by = by
        self.news = News()
        self.reconciler = Reconciler(
            state,
            journal,
            target,
            verifier,
            changed=self.news.notify,
            clock=clock,
            limits=limits,
            hold=hold,
        )
        records = self.reconciler.records
        self._commands = Commands(records, target)
        self._queries = Queries(records, target, self.reconciler, self._commands, keep_limit)
        target.subscribe(self.reconciler.wake)

    def on_behalf_of(self, principal: str) -> Self:
        """Return this engine with another author of requests, such as `user@host`."""
        other = copy.copy(self)
        other._by = principal
        return other

    def start(self) -> None:
        """Start the reconcile loop in a thread of its own."""
        self.reconciler.start()

    def stop(self) -> None:
        """End the thread; replicas run on."""
        self.reconciler.stop()

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Run the reconcile loop while the block lasts; replicas run on after it.

        A command hosts the engine this way if no daemon does.
        """
        self.start()
        try:
            yield self
        finally:
            self.stop()

    @property
    def ending(self) -> bool:
        """Return whether `end` was called."""
        return self._commands.ending

    def end(self) -> None:
        """Refuse every later request and stop: the host is about to end all that runs."""
        self._commands.end()
        self.reconciler.stop()

    # ── commands ──────────────────────────────────────────────────────────────────────────────

    @property
    def ticks(self) -> bool:
        """Return whether its loop goes on."""
        return self.reconciler.ticks

    def plan(self, deployment: Deployment) -> DeployPlan:
        return self._commands.plan(deployment)

    def deploy(self, deployment: Deployment, *, accept: Collection[Consent] = ()) -> DeployAnswer:
        answer = self._commands.deploy(deployment, accept=accept, by=self._by)
        self._wake()
        return answer

    def adopt(self, deployment: Deployment) -> int:
        """Record what runs already as a new service, and return its revision."""
        number = self._commands.adopt(deployment, by=self._by)
        self._wake()
        return number

    def rollback(self, name: str, to: int | None = None, *, verify: bool = True) -> DeployAnswer:
        answer = self._commands.rollback(name, to, verify=verify, by=self._by)
        self._wake()
        return answer

    def scale(self, name: str, replicas: int | ReplicaRange) -> dict[str, Any]:
        findings = self._commands.scale(name, replicas, by=self._by)
        self._wake()
        status = self.service(name)
        return status | {"findings": [asdict(each) for each in findings]} if findings else status

    def restart(self, name: str) -> dict[str, Any]:
        self._commands.restart(name, by=self._by)
        self._wake()
        return self.service(name)

    def delete(self, name: str) -> None:
        self._commands.delete(name, by=self._by)
        self._wake()

    def verify(
        self,
        name: str,
        *,
        url: str | None = None,
        revision: int | None = None,
        golden: Golden | None = None,
    ) -> Verification:
        record = self.reconciler.records.stored(name).record
        number = revision or record.shown
        verified = self._queries.recorded(name, number)
        given = ReplicaAddress(requests.server_url(url)) if url else None
        server = nullcontext(given) if given is not None else self._replica_of(verified)
        with server as address:
            limit = record.operated.start_limit
            outcome = self._verifier.verify(verified, address, limit=limit, golden=golden)
        if url is None and golden is None:
            self._state.attach(name, number, outcome)
            if outcome.detail is not None:
                self._target.doubt(name, number, address, outcome.detail)
            self.news.notify()
        return outcome

    # ── queries ───────────────────────────────────────────────────────────────────────────────

    def status(self) -> dict[str, Any]:
        return self._queries.status()

    def service(self, name: str) -> dict[str, Any]:
        return self._queries.service(name)

    def revisions(self, name: str) -> tuple[RevisionStatus, ...]:
        return self._queries.revisions(name)

    def revision(self, name: str, number: int) -> RevisionStatus:
        return self._queries.revision(name, number)

    def history(self, name: str) -> dict[str, Any]:
        return self._queries.history(name)

    def logs(
        self, name: str, *, lines: int = 100, follow: bool = False, revision: int | None = None
    ) -> Iterator[tuple[str, str]]:
        self.reconciler.records.stored(name)
        return self._target.logs(name, revision, lines=lines, follow=follow)

    def events(
        self, service: str | None = None, *, after: str = "", wait: float = 0.0
    ) -> tuple[Event, ...]:
        deadline = time.monotonic() + wait
        while True:
            count = self.news.count
            events = self._journal.read(service, after=after, limit=_MOST_EVENTS)
            left = deadline - time.monotonic()
            if events or left <= 0:
                return events
            self.news.wait(count, min(left, _LOOK_SECONDS))

    # ── inside ────────────────────────────────────────────────────────────────────────────────

    def _replica_of(self, revision: Revision) -> AbstractContextManager[ReplicaAddress]:
        if not self._target.observe(revision.service).ready(revision.number):
            raise ConflictError(
                "verify.not_running",
                f"No replica of revision {revision.number} of {revision.service} is ready.",
                where=revision.service,
                hint=f"`cloche status {revision.service}` shows its replicas; --url verifies"
                " another server with the same repository.",
            )
        return self._target.reach(revision.service, revision.number)

    def _wake(self) -> None:
        self.reconciler.wake()
        self.news.notify()
