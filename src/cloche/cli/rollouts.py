"""Waiting for rollouts, and showing their results."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cloche.cli.session import Session
    from cloche.control import ControlPlane


def conclude(
    here: Session,
    control: ControlPlane,
    service: str,
    answer: Mapping[str, Any],
    *,
    wait: bool,
    timeout: float,
    as_json: bool,
) -> int:
    """Wait for the requested rollout if `wait` is set, and print its result.

    A failed rollout is an error that carries the result.
    """
    number = int(answer["revision"])
    with _recorded_on_interrupt(here, service, number):
        from cloche.artifacts import deploy_view
        from cloche.cli import rendering
        from cloche.clients.control.rollout_events import (
            GOES_ON,
            STANDS_STILL,
            error_of,
            see_through,
        )

        revision = control.revision(service, number)
        if wait and not revision.phase.ended:
            revision = see_through(
                here.started_control, service, number, progress=here.progress, timeout=timeout,
                later=GOES_ON if here.place is None else STANDS_STILL,
            )  # fmt: skip
            control = here.started_control()
        warned = revision.deployment.warnings() if answer["change"] == "revision" else ()
        findings = (*warned, *answer.get("findings", ()))
        result = deploy_view(revision, control.service(service), answer["change"], findings)
    error = error_of(revision)
    if error is None:
        if as_json:
            rendering.show_json(result)
            return 0
        _show(result, here.place.name if here.place is not None else None)
        for finding in findings:
            click.echo(rendering.finding_text(finding))
        return 0
    if not as_json:
        raise error
    rendering.show_json(result | {"error": error.to_dict()})
    return error.exit_code


@contextmanager
def _recorded_on_interrupt(here: Session, service: str, number: int) -> Iterator[None]:
    """Say after ctrl-C that the rollout continues without the command, or how it would."""
    try:
        yield
    except KeyboardInterrupt:
        if here.place is not None:
            target = f"--target {here.place.name}"
            click.echo(
                f"\nRevision {number} of {service} is recorded, and its rollout stands still where"
                " it is;\nwhat was live goes on answering. The same deploy goes on with it, and"
                f"\n`cloche rollback {service} {target} --to N` ends it.",
                err=True,
            )
            raise
        click.echo(
            f"\nRevision {number} of {service} is recorded and goes on in the control plane.\n"
            f"See it with `cloche status`; `cloche logs {service} -f` follows its logs.",
            err=True,
        )
        raise


def _show(result: dict[str, Any], target: str | None) -> None:
    from cloche.cli import rendering

    service, number = result["service"], result["revision"]
    click.echo(
        {
            "none": f"Nothing changed: {service} is at revision {number} ({result['phase']}).",
            "scaled": f"{service} stays at revision {number}; its replicas changed.",
        }.get(result["change"], _headline(result))
    )
    click.echo(
        rendering.fields(
            [
                ("model", result["model"]["pinned"]),
                ("verified", _verified_text(result)),
                ("http", result["http"]),
                ("grpc", result["grpc"]),
            ]
        )
    )
    if result["change"] != "none":
        there = f" --target {target}" if target is not None else ""
        click.echo(f"Try it: cloche infer {service} --example{there}")


def _headline(result: dict[str, Any]) -> str:
    service, number = result["service"], result["revision"]
    back = result["cause"] == "rollback" and result["from"] not in {None, number}
    whence = f", rolled back from revision {result['from']}" if back else ""
    return f"{service} revision {number} is {result['phase']}{whence}."


def _verified_text(result: dict[str, Any]) -> str:
    from cloche.cli import rendering

    verification = result["verification"]
    text = rendering.verification_text(verification)
    if verification is not None and verification["why"]:
        text += f"\n{' ' * len('verified  ')}{verification['why']}"
    if result["cause"] == "rollback" and result["verified"] is None and result["phase"] == "live":
        return f"{text} when it was first live; not repeated (--no-verify)"
    return text
