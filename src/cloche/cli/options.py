"""Options and arguments shared by several verbs."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.artifacts import ReplicaRange

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
service = click.argument("name", metavar="NAME")
model = click.argument("model", required=False)
file = click.option(
    "-f", "--file", type=click.Path(path_type=Path), metavar="FILE",
    help="The cloche.yaml to read (default: ./cloche.yaml).",
)  # fmt: skip
name = click.option("--name", metavar="NAME", help="Name of the service.")
target = click.option(
    "--target", metavar="NAME",
    help="A place of `targets` in the cloche.yaml (default: this machine).",
)  # fmt: skip


def stacked(*added: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a decorator that adds arguments and options to a verb, in the order of its help."""

    def decorate(verb: Any) -> Any:
        for option in reversed(added):
            verb = option(verb)
        return verb

    return decorate


def duration(text: str | float) -> float:
    """Return the seconds of `90`, `90s` or `5m`; a number without a unit is seconds."""
    from cloche.units import parse_duration

    try:
        return float(text)
    except ValueError:
        pass
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def replicas(text: str) -> ReplicaRange:
    """Return a number of replicas, or `2..10`, as a range."""
    from pydantic_core import PydanticCustomError

    from cloche.spec.quantities import replica_range

    try:
        found = replica_range(int(text) if text.removeprefix("-").isdecimal() else text)
    except PydanticCustomError as error:
        raise click.BadParameter(f"{error.message()}. Write a number, or a range: 2..10.") from None
    if found.minimum < 1:
        raise click.BadParameter("0 is below 1. `cloche delete` removes a service.")
    return found


replace = click.option(
    "--replace",
    is_flag=True,
    help="Let MODEL replace another model that has the same name.",
)
accept_interface = click.option(
    "--accept-interface",
    is_flag=True,
    help="Let a revision go live whose inputs, outputs or backend are others than the live one's.",
)
accept_weaker = click.option(
    "--accept-weaker",
    is_flag=True,
    help="Let a revision go live whose answer is judged by less than that of the live one.",
)
accept_nonfinite = click.option(
    "--accept-nonfinite",
    is_flag=True,
    help="Let a revision go live that answers NaN or infinity where the live one does not.",
)
take_over = click.option(
    "--take-over",
    is_flag=True,
    help="Set fields of objects in a cluster that others have set otherwise.",
)
example = click.option(
    "--example",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A request that the model can answer (JSON, .npy, .npz, CSV or an image).",
)
wait = click.option(
    "--wait/--no-wait", default=True, help="Wait until the revision is live (default)."
)
timeout = click.option(
    "--timeout",
    type=duration,
    default="10m",
    show_default=True,
    help="How long to wait for the rollout; it continues after that.",
)


def consents(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Let a verb take each consent by an option; it gets those that were said as `given`."""

    @functools.wraps(verb)
    def with_given(
        *,
        replace: bool,
        accept_interface: bool,
        accept_weaker: bool,
        accept_nonfinite: bool,
        take_over: bool,
        **others: Any,
    ) -> Any:
        from cloche.artifacts import Consent

        given = Consent.given(
            replace=replace, interface=accept_interface, weaker=accept_weaker,
            nonfinite=accept_nonfinite, take_over=take_over,
        )  # fmt: skip
        return verb(given=given, **others)

    asked = (replace, accept_interface, accept_weaker, accept_nonfinite, take_over)
    decorated: Callable[..., Any] = stacked(*asked)(with_given)
    return decorated


def at_target(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Let a verb about a service be about one at a target, whose place it gets as `place`."""

    @target
    @click.option(
        "--file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The cloche.yaml with that target (default: ./cloche.yaml).",
    )
    @functools.wraps(verb)
    def with_place(*, target: str | None, file: Path | None, **given: Any) -> Any:
        from cloche.cli import specification

        return verb(place=specification.place(target, file), **given)

    return with_place
