"""`cloche history`: the revisions of a service, and the rollouts between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cloche.cli import options, rendering, session

if TYPE_CHECKING:
    from cloche.artifacts import KubernetesPlace, RevisionStatus


@click.command()
@options.service
@options.at_target
@options.as_json
def command(*, name: str, place: KubernetesPlace | None, as_json: bool) -> None:
    """List the revisions and rollouts of service NAME, newest first, with their outcomes.

    ROLLBACK says whether `cloche rollback NAME --to N` can bring a revision back.
    """
    with session.begin(place).reading() as control:
        live, history = control.service(name)["live"], control.history(name)
        restorable = set(history["restorable"])
        revisions = [
            _entry(revision, live=revision.number == live, restorable=revision.number in restorable)
            for revision in reversed(control.revisions(name))
        ]
    if as_json:
        rendering.show_json({**history, "revisions": revisions})
        return
    header = ("REVISION", "PHASE", "AGE", "VERIFIED", "ROLLBACK", "BY", "DIGEST", "MODEL")
    click.echo(rendering.table(header, [_row(entry) for entry in revisions]))
    click.echo()
    columns = ("ROLLOUT", "CAUSE", "OUTCOME", "AGE", "BY", "")
    click.echo(rendering.table(columns, [_rollout(rollout) for rollout in history["rollouts"]]))


def _entry(revision: RevisionStatus, *, live: bool, restorable: bool) -> dict[str, Any]:
    from cloche.artifacts import conversion_view, model_view, to_builtins

    return {
        "revision": revision.number,
        "live": live,
        "restorable": restorable,
        "phase": str(revision.phase),
        "created_at": revision.created_at,
        "digest": revision.digest,
        "by": revision.by,
        "model": model_view(revision.deployment.main.snapshot),
        "conversion": conversion_view(revision.deployment.main),
        "verification": to_builtins(revision.verification),
        "failure": revision.failure,
    }


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    mark = " *" if entry["live"] else ""
    back = "live" if entry["live"] else "yes" if entry["restorable"] else "no"
    return (
        f"{entry['revision']}{mark}", entry["phase"], rendering.age_text(entry["created_at"]),
        rendering.judge_text(entry["verification"]), back, entry["by"] or "-",
        _digest(entry["model"]["digest"]), entry["model"]["pinned"],
    )  # fmt: skip


def _digest(digest: str | None) -> str:
    return "unknown" if digest is None else digest.removeprefix("sha256:")[:12]


def _rollout(rollout: dict[str, Any]) -> tuple[str, ...]:
    whence = "" if rollout["from"] is None else f"{rollout['from']} "
    failure = rollout["failure"]
    return (
        f"{whence}→ {rollout['to']}", rollout["cause"], rollout["outcome"] or rollout["phase"],
        rendering.age_text(rollout["started_at"]), rollout["by"] or "-",
        failure["what"].splitlines()[0] if failure else "",
    )  # fmt: skip
