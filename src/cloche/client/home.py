"""The services of a home, or of a control plane that was passed to the client."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from cloche.client.place import Begun
from cloche.clients.control.connection import HomeConnection
from cloche.errors import BusyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from cloche.artifacts import Consent
    from cloche.clients.control.launch import Launched
    from cloche.control import ControlPlane
    from cloche.progress import Progress
    from cloche.settings import Settings
    from cloche.spec import ServiceSpec


_GATEWAY = re.compile(r"gateway(-\d+)?")
"""The names of its processes."""

_PAUSE = 0.05


class Home:
    """Implements `Place`."""

    def __init__(
        self,
        settings: Settings,
        progress: Progress,
        environment: Mapping[str, str],
        given: ControlPlane | None,
    ) -> None:
        self._settings, self._progress, self._environment = settings, progress, environment
        self._given = given
        self._home = HomeConnection(settings, progress)

    def control(self) -> ControlPlane:
        return self._connection()

    def reading(self) -> AbstractContextManager[ControlPlane]:
        if self._given is None and self._home.was_ended():
            from cloche.pipeline import recorded

            return recorded.at_rest(self._settings)
        return nullcontext(self._connection())

    @contextmanager
    def acting(self, service: str) -> Iterator[Callable[[], ControlPlane]]:  # noqa: ARG002
        self._connection()  # one that was ended on purpose is not started by this
        yield self._started

    @contextmanager
    def deploying(
        self, spec: ServiceSpec, directory: Path, accept: Collection[Consent]
    ) -> Iterator[Begun]:
        from cloche import cache, pipeline

        is_own, around = self._given is None, (self._settings, self._progress, self._environment)
        settings, progress, environment = around
        with self._launch() as ready, cache.under_way(settings):
            if is_own:
                pipeline.require_runtime(spec, environment)
            deployment = pipeline.prepare(
                spec, directory=directory, settings=settings, progress=progress,
                environment=environment, run_model=is_own,
            )  # fmt: skip
            if is_own:
                pipeline.provision(
                    deployment, settings=settings, progress=progress, environment=environment
                )
            control = self._connection(start=True, launched=ready)
            answer = control.deploy(deployment, accept=accept)
        yield Begun(deployment.service, answer, self._started)

    def reached(self, service: str) -> AbstractContextManager[None]:  # noqa: ARG002
        return nullcontext()

    def removal(self, service: str) -> Callable[[], None]:  # noqa: ARG002
        return lambda: None

    def close(self) -> None:
        self._home.close()

    def down(self) -> dict[str, Any]:
        """End all that runs in the home; see `cloche.Client.down`."""
        if self._given is not None:
            what = "The control plane was passed to this client; the client does not end it."
            raise UsageError("client.down", what, hint="End it in the code that made it.")
        from cloche.clients.control import finding

        self.close()
        deadline = time.monotonic() + finding.ANSWER_SECONDS
        while True:
            try:
                return self._home.down() or self._end_without_control()
            except BusyError:  # what was killed has been started again meanwhile
                if time.monotonic() > deadline:
                    raise
            time.sleep(_PAUSE)

    # ── inside ────────────────────────────────────────────────────────────────────────────────

    def _launch(self) -> AbstractContextManager[Launched | None]:
        """Launch a control plane for a deploy, if none runs and none was passed."""
        return nullcontext() if self._given is not None else self._home.launch()

    def _connection(self, *, start: bool = False, launched: Launched | None = None) -> ControlPlane:
        if self._given is not None:
            return self._given
        return self._home.control(start=start, launched=launched)

    def _started(self) -> ControlPlane:
        return self._connection(start=True)

    def _end_without_control(self) -> dict[str, Any]:
        from cloche import composition

        running = composition.running(self._settings)
        replicas: dict[str, int | None] = {
            name: pid for name, pid in running.items() if not _GATEWAY.fullmatch(name)
        }
        gateway = sorted(running.keys() - replicas.keys())
        if running or self._home.has_services():  # a folder that was removed leaves servers
            target = composition.target(self._settings)
            replicas |= {replica.id: replica.pid for replica in target.replicas()}
            target.down()
        return {
            "replicas": [{"id": name, "pid": pid} for name, pid in sorted(replicas.items())],
            "gateway": running.get("gateway"),
            "gateway_processes": [running[name] for name in gateway],
            "control": None,
        }
