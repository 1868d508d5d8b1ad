"""`cloche restart`: new replicas of the live revision in place of those that run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cloche.cli import options, rendering, session
from cloche.cli.waiting import Look, late, until_done
from cloche.errors import ClocheError, SupersededError

if TYPE_CHECKING:
    from cloche.artifacts import KubernetesPlace
    from cloche.control import ControlPlane
    from cloche.progress import Task

_ATTEMPTS = 3
"""Ends in a row after which a replica that was never ready does not come up."""


@click.command()
@options.service
@click.option("--wait/--no-wait", default=True,
              help="Wait until all are replaced (default), or one new one starts.")  # fmt: skip
@click.option("--timeout", type=options.duration, default="10m", show_default=True,
              help="How long to wait; the restart goes on after that.")  # fmt: skip
@options.at_target
@options.as_json
def command(
    *, name: str, place: KubernetesPlace | None, wait: bool, timeout: float, as_json: bool
) -> None:
    """Replace each replica of the live revision of service NAME by a new one.

    One by one: a new one answers before an old one ends, so no request is lost.
    """
    here = session.begin(place)
    control = here.control(acts_for=name)
    control.restart(name)
    try:
        with here.progress.task(f"Restarting {name}") as task:
            status = _followed(control, name, timeout, task, wait=wait)
    except KeyboardInterrupt:
        said = "\nThe restart goes on without this command; `cloche status` shows it."
        click.echo(said, err=True)
        raise
    if as_json:
        rendering.show_json(status)
        return
    new, count = len(_new(status)), len(_staying(status))
    rest = "" if new == count else " The others follow one by one."
    replicas = rendering.count_text(count, "replica")
    click.echo(f"{name}: {new} of {replicas} {'is' if new == 1 else 'are'} new.{rest}")


def _followed(
    control: ControlPlane, name: str, timeout: float, task: Task, *, wait: bool
) -> dict[str, Any]:
    """Return the status of a service whose restart has ended, or without `wait` has begun."""

    def look() -> Look:
        status = control.service(name)
        if status["restarted_at"] is None:
            what = f"Revision {status['live']} of {name} went live during the restart."
            raise SupersededError("restart.superseded", what, where=name)
        staying, new = _staying(status), _new(status)
        is_ready = all(each["phase"] == "ready" for each in staying)
        done = bool(new) and (not wait or (len(new) == len(staying) and is_ready))
        if not done:
            _require_no_failure(name, new)
        replicas = rendering.count_text(len(staying), "replica")
        return Look(status, done, f"{len(new)} of {replicas} new")

    hint = f"It goes on. `cloche status {name}` says what they wait for."
    return until_done(
        look, task, timeout, lambda found: late("restart.timeout", found, name, timeout, hint)
    )


def _require_no_failure(name: str, new: list[dict[str, Any]]) -> None:
    """Raise ClocheError `restart.failed` if a new replica does not come up.

    Where replicas are started again without end, that is one which ended several times before it
    was ever ready.
    """
    failed = next(filter(_fails, new), None)
    if failed is not None:
        raise ClocheError(
            "restart.failed",
            f"A new replica of {name} does not come up. {failed['detail']}",
            where=failed["id"],
            hint=f"The others go on answering. {failed['remedy'] or ''} `cloche logs {name}` has"
            " its log. It is tried again for as long as it is wanted.".replace("  ", " "),
        )


def _fails(replica: dict[str, Any]) -> bool:
    never_ready = replica["phase"] != "ready" and replica["unready_since"] is None
    return replica["phase"] == "failed" or (never_ready and replica["restarts"] >= _ATTEMPTS)


def _staying(status: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the replicas of the live revision that do not end."""
    return [
        each
        for each in status["replicas"]["items"]
        if each["revision"] == status["live"] and each["phase"] != "stopping"
    ]


def _new(status: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in _staying(status) if each["restarted_at"] == status["restarted_at"]]
