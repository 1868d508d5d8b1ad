"""The context of a verb: settings, progress and the control plane."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from cloche import refusals
from cloche import settings as machine
from cloche.cli import progress as terminal
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.artifacts import KubernetesPlace
    from cloche.clients.control.client import ControlClient
    from cloche.clients.control.launch import Launched
    from cloche.control import ControlPlane
    from cloche.pipeline.cluster import Opened
    from cloche.pipeline.plan_file import PlanFile
    from cloche.progress import Progress
    from cloche.settings import Settings


NOTHING = "Nothing has been deployed here yet."
_OPENED = "cloche.opened"
"""Under this name the context of a command has the place that it opened."""


@dataclass(frozen=True, slots=True)
class Session:
    """One run of the command line."""

    settings: Settings
    progress: Progress
    place: KubernetesPlace | None = None
    """Where the services are; None for this machine."""

    def at(self, place: KubernetesPlace) -> Session:
        """Return this run of the command line for a place in a cluster."""
        return Session(self.settings, self.progress, place)

    def control(self, *, acts_for: str | None = None) -> ControlPlane:
        """Return the running control plane; start it again after a crash.

        In a cluster it is in this process: with `acts_for` it carries out what is recorded of that
        service until the command ends.
        Raises ClocheError if nothing was ever deployed, or everything was ended on purpose.
        """
        if self.place is not None:
            return self.opened(acts_for=acts_for).engine
        from cloche.clients.control import finding as control

        self.require_deployed()
        if self.ended():
            raise refusals.ended(self.settings.home)
        return _close_at_end(control.connect_or_start(self.settings, self.progress))

    @contextmanager
    def reading(self) -> Iterator[ControlPlane]:
        """Yield the control plane for queries, or what is recorded if `cloche down` ended it.

        Raises ClocheError if nothing was ever deployed.
        """
        if not self.is_down():
            yield self.control()
            return
        from cloche.pipeline import recorded

        with recorded.at_rest(self.settings) as control:
            yield control

    def opened(
        self,
        *,
        acts_for: str | None = None,
        create_namespace: bool = False,
        planned: PlanFile | None = None,
    ) -> Opened:
        """Return the place in the cluster, which is closed when the command ends."""
        from cloche.pipeline import cluster

        if self.place is None:
            raise ValueError("this machine is no place in a cluster")
        context = click.get_current_context()
        known: Opened | None = context.meta.get(_OPENED)
        if known is None:
            if acts_for is not None:
                context.with_resource(terminable())
            opening = cluster.opened(
                self.place,
                os.environ,
                acts_for=acts_for,
                create_namespace=create_namespace,
                planned=planned,
                settings=self.settings,
            )
            known = context.meta[_OPENED] = context.with_resource(opening)
            if known.recovered is not None:
                click.echo(known.recovered, err=True)
        return known

    def launch(self) -> Launched | None:
        """Prepare a control plane if none runs; it changes nothing until it is used."""
        from cloche.clients.control import finding as control

        launched = control.launch(self.settings)
        context = click.get_current_context(silent=True)
        if launched is not None and context is not None:
            context.call_on_close(launched.abandon)
        return launched

    def started_control(self, launched: Launched | None = None) -> ControlPlane:
        """Return the control plane; start it in the background if none runs."""
        if self.place is not None:
            return self.opened().engine
        from cloche.clients.control import finding as control

        return _close_at_end(control.connect_or_start(self.settings, self.progress, launched))

    def require_deployed(self) -> None:
        """Raise ClocheError `control.nothing_deployed` if this home has no record of services."""
        if not self.deployed():
            raise ClocheError(
                "control.nothing_deployed",
                NOTHING,
                where=str(self.settings.home),
                hint="`cloche deploy MODEL` deploys a model; CLOCHE_HOME names another folder.",
            )

    def deployed(self) -> bool:
        """Return whether this home has a record of services."""
        from cloche.clients.control import record as home

        return home.has_services(self.settings.home)

    def ended(self) -> bool:
        """Return whether `cloche down` ended the services of this home."""
        from cloche.clients.control import record as home

        return self.deployed() and home.was_ended(self.settings.home)

    def is_down(self) -> bool:
        """Return whether the services are of this machine, and `cloche down` ended them."""
        return self.place is None and self.ended()


def begin(place: KubernetesPlace | None = None) -> Session:
    """Read the settings and choose the progress for stderr."""
    return Session(machine.load(), terminal.for_terminal(), place)


@contextmanager
def terminable() -> Iterator[None]:
    """Treat SIGTERM like ctrl-C, so that everything started is ended then, too."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def interrupt_held() -> Iterator[None]:
    """Hold back ctrl-C until the block has ended: extension modules lose one while they start."""
    came: list[None] = []
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: came.append(None))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


@contextmanager
def nothing_on_interrupt() -> Iterator[None]:
    """Say after ctrl-C within the block that nothing is deployed."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("\nNothing was deployed; downloads stay in the cache.", err=True)
        raise


@contextmanager
def perhaps_on_interrupt(service: str) -> Iterator[None]:
    """Say after ctrl-C within the block, which asks for a rollout, where to see if it goes on."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\nIf the rollout was recorded, `cloche status {service}` shows it.", err=True)
        raise


@contextmanager
def recorded_on_interrupt(here: Session, what: str) -> Iterator[None]:
    """Say after ctrl-C within the block how what is recorded of a service goes on."""
    try:
        yield
    except KeyboardInterrupt:
        if here.place is not None:
            click.echo(f"\n{what} is recorded. The same command goes on with it.", err=True)
        raise


def _close_at_end(control: ControlClient) -> ControlClient:
    """Close the connections when the command ends; return the client."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.call_on_close(control.close)
    return control
