"""`cloche adopt`: take over a Deployment that was made by hand, as the first revision of a service.

Nothing of it changes but labels, until a later revision takes the Service's selector.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from cloche.cli import options, rendering, session
from cloche.errors import UnavailableError, UsageError, from_dict
from cloche.refusals import not_a_name

if TYPE_CHECKING:
    from cloche.artifacts import KubernetesPlace
    from cloche.pipeline.adopt import Adoption
    from cloche.pipeline.cluster import Opened

POLL_SECONDS = 0.2


@click.command()
@options.service
@click.option("--deployment", metavar="NAME",
              help="The Deployment (default: the one called as the service).")  # fmt: skip
@click.option("--service", "front", metavar="NAME",
              help="The Service that clients use, where several lead to it.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--timeout", type=options.duration, default="1m", show_default=True,
              help="How long to wait until it is taken over.")  # fmt: skip
@options.at_target
@options.as_json
def command(
    *,
    name: str,
    deployment: str | None,
    front: str | None,
    place: KubernetesPlace | None,
    yes: bool,
    timeout: float,
    as_json: bool,
) -> int:
    """Take over a Deployment made by hand at a target, as revision 1 of a new service NAME.

    Its pods stay as they are. The next deploy makes a revision beside it and moves the selector of
    its Service; a rollback moves it back, and a delete gives all of it back. What cannot be adopted
    is refused before anything changes.
    """
    from cloche.pipeline import adopt
    from cloche.spec import names

    if place is None:
        what = "Only a Deployment in a cluster can be adopted."
        raise UsageError("adopt.target", what, hint="Name its place with --target.")
    if not names.is_safe(name):
        raise not_a_name(name)
    called = deployment or name
    here = session.begin(place)
    opened = here.opened(acts_for=name)
    number = adopt.already(opened, name, called)
    if number is None:
        adoption = adopt.prepare(opened, name, called, front)
        if not as_json:
            _show(adoption)
        if not yes and not _confirm(name):
            click.echo("Nothing was adopted.", err=True)
            return 1
        number = opened.engine.adopt(adoption.deployment)
    said = session.recorded_on_interrupt(here, f"The adoption of {name}")
    with said, here.progress.task(f"Adopting {name}"):
        _settle(opened, name, number, timeout)
        opened.engine.verify(name, revision=number)
    _report(opened, name, number, as_json=as_json)
    return 0


def _confirm(name: str) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(
            "usage.confirmation",
            f"Adopting {name} needs confirmation, and there is no terminal to ask on.",
            hint="Add --yes.",
        )
    return click.confirm(f"Adopt it as revision 1 of {name}?", err=True)


def _settle(opened: Opened, name: str, number: int, timeout: float) -> None:
    """Wait until a Service is seen to be the service's own."""
    deadline = time.monotonic() + timeout
    while dict(opened.target.observe(name).split) != {number: 100}:
        failure = opened.engine.service(name)["failure"]
        if failure is not None:
            raise from_dict(failure)
        if time.monotonic() > deadline:
            what = f"{name} was not taken over after {timeout:.0f} s; its clients notice nothing."
            hint = "The same command goes on with it."
            raise UnavailableError("adopt.timeout", what, where=name, hint=hint)
        time.sleep(POLL_SECONDS)


def _show(adoption: Adoption) -> None:
    """Show what was found, and what becomes of it."""
    found, deployed = adoption.found, adoption.deployment
    adopted, plural = found.adopted, "" if found.adopted.replicas == 1 else "s"
    replicas = f"{adopted.replicas} replica{plural}"
    click.echo(rendering.fields([
        ("deployment", f"{adopted.deployment}, {replicas} of {', '.join(adopted.images)}"),
        ("service", f"{found.front.name} ({_selector(found.front.selector)})"),
        ("server", adoption.server),
        ("models", ", ".join(deployed.repository.models)),
    ]))  # fmt: skip
    for finding in adoption.findings:
        click.echo(rendering.finding_text(finding))
    click.echo(
        f"{deployed.service} would be a service with this Deployment as revision 1; its pods stay"
        f" as they are.\nA later revision takes over by the selector of Service {found.front.name}."
    )


def _selector(selector: Any) -> str:
    return ", ".join(f"{key}: {value}" for key, value in selector.items())


def _report(opened: Opened, name: str, number: int, *, as_json: bool) -> None:
    status, engine = opened.engine.service(name), opened.engine
    deployment = engine.revision(name, number).deployment
    adopted, front = deployment.adopted, deployment.operated.front
    if adopted is None or front is None:
        raise ValueError("an adopted revision without a Deployment")
    if as_json:
        rendering.show_json({
            "service": name, "revision": number, "deployment": adopted.deployment,
            "front": front.name, "selector": dict(front.selector), "images": list(adopted.images),
            "models": list(deployment.repository.models),
            "replicas": {key: status["replicas"][key] for key in ("wanted", "ready")},
            "verification": status["verification"], "http": status["http"],
            "grpc": status["grpc"],
        })  # fmt: skip
        return
    click.echo(f"{name} revision {number} is live: Deployment {adopted.deployment}, as it was.")
    click.echo(rendering.fields([("http", status["http"]), ("grpc", status["grpc"])]))
    there = f"--target {opened.place.name}"
    click.echo(
        f"Take over from it: cloche deploy {there}\nGive it back: cloche delete {name} {there}"
    )
