"""`cloche history`: the revisions of a service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cloche.cli import options, rendering, session

if TYPE_CHECKING:
    from cloche.artifacts import Revision


@click.command()
@options.service
@options.as_json
def command(*, name: str, as_json: bool) -> None:
    """List the revisions of service NAME, newest first, each with what became of it."""
    control = session.begin().control()
    live = control.service(name)["live"]
    rows = [_entry(revision, live) for revision in reversed(control.revisions(name))]
    if as_json:
        rendering.show_json({"service": name, "revisions": rows})
        return
    header = ("REVISION", "PHASE", "AGE", "MODEL", "DIGEST", "VERIFIED", "BY")
    click.echo(rendering.table(header, [_row(entry) for entry in rows]))
    for entry in rows:
        if entry["failure"]:
            click.echo(f"  revision {entry['revision']}: {entry['failure']['what']}")


def _entry(revision: Revision, live: int | None) -> dict[str, Any]:
    from cloche.artifacts import model_view, to_builtins

    deployment = revision.deployment
    return {
        "revision": revision.number,
        "live": revision.number == live,
        "phase": str(revision.phase),
        "created_at": revision.created_at,
        "digest": revision.digest,
        "by": deployment.by,
        "model": model_view(deployment.snapshot),
        "verification": to_builtins(revision.verification),
        "failure": revision.failure,
    }


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    mark = " *" if entry["live"] else ""
    return (
        f"{entry['revision']}{mark}", entry["phase"], rendering.age_text(entry["created_at"]),
        entry["model"]["pinned"], entry["model"]["digest"].removeprefix("sha256:")[:12],
        rendering.verification_text(entry["verification"]), entry["by"] or "-",
    )  # fmt: skip
