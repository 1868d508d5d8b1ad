"""The life of one supervised server as a pure state machine.

    waiting → starting → ready ⇄ unready
       ↑          └────────┴───────┴──→ (ended) → waiting | failed
       └── ending ←── unready for too long            stop: draining → ending → killing → gone

`advance` takes a life, what was seen and the time, and returns the next life. Each step has one
effect, given in `Step`, that can be repeated: a supervisor records the life, then does what its
step says; after a crash the next supervisor does it again.

Times are seconds of CLOCK_MONOTONIC, which runs for the whole boot.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from cloche.artifacts.service import DEFAULT_START_TIMEOUT
from cloche.targets.target import ReplicaPhase


class Step(enum.StrEnum):
    """The state of a life, and what a supervisor does in it."""

    WAITING = "waiting"
    """No process; start one at `due`."""
    STARTING = "starting"
    """Start a process if there is none, and check whether it is ready."""
    READY = "ready"
    """Check from time to time whether it is still ready."""
    UNREADY = "unready"
    """Check often whether it is ready again."""
    DRAINING = "draining"
    """It has no routes; wait for its last requests."""
    ENDING = "ending"
    """Ask the process to end."""
    KILLING = "killing"
    """Kill the process and all processes that it started."""
    FAILED = "failed"
    """No process; do not start one."""
    GONE = "gone"
    """No process; clean up and forget it."""


RUNNING = frozenset(
    {Step.STARTING, Step.READY, Step.UNREADY, Step.DRAINING, Step.ENDING, Step.KILLING}
)
"""The steps that have a process."""

CHECKED = frozenset({Step.STARTING, Step.READY, Step.UNREADY})
"""The steps in which a process is asked how it is."""


class After(enum.StrEnum):
    """What follows the end of the process."""

    RESTART = "restart"
    FAIL = "fail"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Health:
    """The result of a health check."""

    ready: bool
    why: str | None = None
    """What is wrong, as a sentence; None if nothing is, and if it only did not answer in time."""
    replace: bool = False
    """Whether only a new process helps."""
    dead: bool = False
    """Whether it answers nothing any more, so that there are no requests to wait for."""


@dataclass(frozen=True, slots=True)
class Policy:
    """When a server is checked, restarted and given up; in seconds, except for the counts."""

    first_delay: float = 0.5
    longest_delay: float = 30.0
    jitter: float = 0.2
    """Delays are spread by this fraction, so that replicas do not start at the same time."""
    stable: float = 60.0
    """The end of a server that was ready for this long counts as its first: delays start over."""
    first_attempts: int = 3
    """Ends in a row after which a server that was never ready has failed."""
    attempts: int = 6
    """The same for a server that was ready before."""
    endless: bool = False
    """Whether a server is started again however often it ended."""
    collisions: int = 10
    """Most starts in a row that do not count because the port was taken."""
    start_limit: float = DEFAULT_START_TIMEOUT
    """A replica has the limit of its placement."""
    unready_limit: float = 30.0
    misses: int = 2
    """Failed health checks in a row after which a server is not ready."""
    drain_limit: float = 60.0
    end_limit: float = 15.0
    check_every: float = 2.0
    start_check_every: float = 0.025


@dataclass(frozen=True, slots=True)
class Life:
    """The state and the history of one server that decide what happens to it."""

    step: Step = Step.WAITING
    since: float = 0.0
    due: float = 0.0
    after: After = After.RESTART
    restarts: int = 0
    ends: int = 0
    """Times in a row that it ended without being ready for `Policy.stable`."""
    collisions: int = 0
    misses: int = 0
    ready_at: float | None = None
    """When this process became ready."""
    was_ready: bool = False
    """Whether any process of the server was ever ready."""
    detail: str | None = None
    """Why it is not ready, or what is wrong though it is, as a sentence."""

    @property
    def phase(self) -> ReplicaPhase:
        """Return the phase that a target shows."""
        if self.after is After.REMOVE:
            return ReplicaPhase.STOPPING
        if self.step in {Step.ENDING, Step.KILLING}:
            failing = self.after is After.FAIL
            return ReplicaPhase.FAILED if failing else ReplicaPhase.RESTARTING
        if self.step is Step.WAITING:
            return ReplicaPhase.RESTARTING if self.restarts else ReplicaPhase.STARTING
        return _PHASES[self.step]


_PHASES = {
    Step.STARTING: ReplicaPhase.STARTING,
    Step.READY: ReplicaPhase.READY,
    Step.UNREADY: ReplicaPhase.UNREADY,
    Step.FAILED: ReplicaPhase.FAILED,
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a supervisor saw of a server at one moment."""

    ended: str | None = None
    """How its process ended (`ended with exit code 1`) once nothing of it runs; None if it runs."""
    collided: bool = False
    """Whether it ended because a port was taken."""
    health: Health | None = None
    """The result of a health check; None without a check."""
    drained: bool = False
    """Whether it has no request and none is on its way to it."""
    stop: bool = False
    """Whether it should be removed."""
    retry: bool = False
    """Whether to start it now if it waits for that, or was given up."""


def advance(life: Life, seen: Seen, now: float, policy: Policy, jitter: float = 0.5) -> Life:
    """Return the next life; `jitter`, from 0 to 1, places a delay within `policy.jitter`."""
    if seen.stop and life.after is not After.REMOVE:
        life = _stop(life, now)
    if life.step in RUNNING and seen.ended is not None:
        return _after_end(life, seen, now, policy, jitter)
    if seen.retry and life.step in {Step.WAITING, Step.FAILED}:
        life = replace(life, step=Step.WAITING, due=now, ends=0, after=After.RESTART)
    if life.step is Step.WAITING and now >= life.due:
        return replace(life, step=Step.STARTING, since=now, misses=0, ready_at=None)
    if life.step in CHECKED:
        return _after_check(life, seen.health, now, policy)
    if life.step is Step.DRAINING and (seen.drained or now - life.since >= policy.drain_limit):
        return replace(life, step=Step.ENDING, since=now)
    if life.step is Step.ENDING and now - life.since >= policy.end_limit:
        return replace(life, step=Step.KILLING, since=now)
    return life


def next_look(life: Life, now: float, policy: Policy) -> float | None:
    """Return the seconds until the next look if nothing happens; None if none is needed."""
    if life.step in {Step.FAILED, Step.GONE}:
        return None
    if life.step is Step.WAITING:
        return max(0.0, life.due - now)
    if life.step is Step.ENDING:
        return max(0.0, life.since + policy.end_limit - now)
    if life.step is Step.READY and not life.misses:
        return policy.check_every
    if life.step in {Step.READY, Step.UNREADY}:
        return policy.check_every / 4
    return policy.start_check_every


def _stop(life: Life, now: float) -> Life:
    life = replace(life, after=After.REMOVE, detail=None)
    match life.step:
        case Step.WAITING | Step.FAILED:
            return replace(life, step=Step.GONE, since=now)
        case Step.STARTING:  # it has no requests to finish
            return replace(life, step=Step.ENDING, since=now)
        case Step.READY | Step.UNREADY:
            return replace(life, step=Step.DRAINING, since=now)
        case _:
            return life


def _after_check(life: Life, health: Health | None, now: float, policy: Policy) -> Life:
    if health is not None and (health.ready or health.why is not None):
        return _after_judgement(life, health, now)
    if life.step is Step.READY:
        return life if health is None else _count_miss(life, now, policy)
    if life.step is Step.UNREADY and now - life.since >= policy.unready_limit:
        detail = (
            f"It ran, but did not answer its health check for {policy.unready_limit:g} seconds."
        )
        return replace(life, step=Step.ENDING, since=now, detail=detail)
    if life.step is Step.STARTING and now - life.since >= policy.start_limit:
        detail = f"It was not ready within {policy.start_limit:g} seconds of its start."
        after = After.RESTART if policy.endless else After.FAIL
        return replace(life, step=Step.ENDING, since=now, after=after, detail=detail)
    return life


def _after_judgement(life: Life, health: Health, now: float) -> Life:
    if health.replace:
        step = Step.KILLING if health.dead else Step.ENDING
        return replace(life, step=step, since=now, detail=health.why)
    if health.ready:
        return _enter_ready(life, health.why, now)
    if life.step is Step.STARTING:
        return life
    # How long it stays out of the traffic is up to what doubts it.
    since = now if life.step is Step.READY else life.since
    return replace(life, step=Step.UNREADY, since=since, misses=0, detail=health.why)


def _enter_ready(life: Life, detail: str | None, now: float) -> Life:
    if life.step is Step.READY:
        return replace(life, misses=0, detail=detail)
    ready_at = now if life.ready_at is None else life.ready_at
    life = replace(life, step=Step.READY, since=now, misses=0, detail=detail)
    return replace(life, ready_at=ready_at, was_ready=True)


def _count_miss(life: Life, now: float, policy: Policy) -> Life:
    life = replace(life, misses=life.misses + 1)
    if life.misses < policy.misses:
        return life
    detail = "It runs, but does not answer its health check."
    return replace(life, step=Step.UNREADY, since=now, detail=detail)


def _after_end(life: Life, seen: Seen, now: float, policy: Policy, jitter: float) -> Life:
    if life.after is After.REMOVE:
        return replace(life, step=Step.GONE, since=now)
    if life.after is After.FAIL:
        return replace(life, step=Step.FAILED, since=now)
    if seen.collided and life.ready_at is None and life.collisions < policy.collisions:
        detail = "Another process took its port; it is started on another port."
        collisions = life.collisions + 1
        return replace(
            life, step=Step.WAITING, since=now, due=now, collisions=collisions, detail=detail
        )
    stable = life.ready_at is not None and now - life.ready_at >= policy.stable
    ends = 1 if stable else life.ends + 1
    # If Cloche ended the server because something was wrong, that is the reason.
    told = life.step in {Step.ENDING, Step.KILLING} and life.detail is not None
    how = life.detail if told else f"It {seen.ended}."
    life = replace(life, since=now, ends=ends, collisions=0, misses=0, ready_at=None)
    if _gives_up(life, policy):
        return replace(life, step=Step.FAILED, detail=f"{how} That was the {_nth(ends)} in a row.")
    due = now + delay(ends, policy, jitter)
    return replace(life, step=Step.WAITING, due=due, restarts=life.restarts + 1, detail=how)


def _gives_up(life: Life, policy: Policy) -> bool:
    if policy.endless:
        return False
    return life.ends >= (policy.attempts if life.was_ready else policy.first_attempts)


def delay(ends: int, policy: Policy, jitter: float) -> float:
    """Return the seconds before the start after the `ends`-th end in a row."""
    # Beyond 2^30 the longest delay applies anyway, and the power stays small.
    plain = min(policy.longest_delay, policy.first_delay * 2.0 ** min(ends - 1, 30))
    return float(plain * (1 + policy.jitter * (2 * jitter - 1)))


def _nth(count: int) -> str:
    names = {1: "first time", 2: "second time", 3: "third time"}
    return names.get(count, f"{count}th time")
