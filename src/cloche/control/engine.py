"""The engine: a control plane over a state, a journal, a target and a verifier.

It knows no kind of them and no HTTP, and so runs wherever a process holds it: in the daemon of a
home, or in a command. What is asked for is recorded; the reconcile loop, which is woken, brings it
about.
"""

from __future__ import annotations

import copy
import time
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from cloche.control import requests
from cloche.control.commands import Commands
from cloche.control.news import News
from cloche.control.queries import Queries
from cloche.control.reconcile import Reconciler
from cloche.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from cloche.artifacts import (
        DeployAnswer,
        Deployment,
        DeployPlan,
        Event,
        Golden,
        Revision,
        RevisionStatus,
        Verification,
    )
    from cloche.control.verifier import Verifier
    from cloche.rollout.situation import Limits
    from cloche.state import Journal, State
    from cloche.targets import Target

_MOST_EVENTS = 1000


class Engine:
    """Implements `cloche.control.plane.ControlPlane`; `by` is who asks, until `on_behalf_of`."""

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
        )
        records = self.reconciler.records
        self._commands = Commands(records, target)
        self._queries = Queries(records, target, self.reconciler, self._commands, keep_limit)
        target.subscribe(self.reconciler.wake)

    def on_behalf_of(self, principal: str) -> Self:
        """Return this engine for one who asks, such as `user@host`."""
        other = copy.copy(self)
        other._by = principal
        return other

    def start(self) -> None:
        """Begin to bring about what is recorded, in a thread of its own."""
        self.reconciler.start()

    def stop(self) -> None:
        """End the thread; what runs goes on."""
        self.reconciler.stop()

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Bring about what is recorded for as long as the block lasts; what runs goes on after it.

        So a command hosts the engine itself, where no daemon does.
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
        """Refuse what is asked for from now on, and stop: what runs is about to be ended."""
        self._commands.end()
        self.reconciler.stop()

    # ── what is asked for ─────────────────────────────────────────────────────────────────────

    def plan(self, deployment: Deployment) -> DeployPlan:
        return self._commands.plan(deployment)

    def deploy(self, deployment: Deployment) -> DeployAnswer:
        return self._woken(self._commands.deploy(deployment, by=self._by))

    def rollback(self, name: str, to: int | None = None, *, verify: bool = True) -> DeployAnswer:
        return self._woken(self._commands.rollback(name, to, verify=verify, by=self._by))

    def scale(self, name: str, replicas: int) -> dict[str, Any]:
        self._commands.scale(name, replicas, by=self._by)
        self._wake()
        return self.service(name)

    def delete(self, name: str) -> None:
        self._commands.delete(name, by=self._by)
        self._wake()

    def verify(
        self, name: str, *, url: str | None = None, revision: int | None = None
    ) -> Verification:
        stored = self.reconciler.records.stored(name)
        record, latest = stored.record, stored.record.latest
        number = revision or record.live or (latest.to if latest is not None else 0)
        asked = self._queries.recorded(name, number)
        reached = nullcontext(requests.server_url(url)) if url else self._replica_of(asked)
        with reached as address:
            golden = self._state.attached(name, number).golden
            golden = golden or self._make_golden(asked, record.operated.start_limit)
            outcome = self._verifier.verify(asked, golden, address)
        if url is None:
            self._state.attach(name, number, outcome)
            self.news.notify()
        return outcome

    # ── what is ───────────────────────────────────────────────────────────────────────────────

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
            self.news.wait(count, left)

    # ── inside ────────────────────────────────────────────────────────────────────────────────

    def _replica_of(self, revision: Revision) -> AbstractContextManager[str]:
        observation = self._target.observe(revision.service)
        if not any(
            one.revision == revision.number and one.phase == "ready" for one in observation.replicas
        ):
            raise ConflictError(
                "verify.not_running",
                f"No replica of revision {revision.number} of {revision.service} is ready.",
                where=revision.service,
                hint=f"`cloche status {revision.service}` shows its replicas; --url asks another"
                " server with the same repository.",
            )
        return self._target.reach(revision.service, revision.number)

    def _make_golden(self, revision: Revision, limit: float) -> Golden:
        golden = self._verifier.golden(revision, limit=limit)
        self._state.attach(revision.service, revision.number, golden)
        return golden

    def _woken(self, answer: DeployAnswer) -> DeployAnswer:
        self._wake()
        return answer

    def _wake(self) -> None:
        self.reconciler.wake()
        self.news.notify()
