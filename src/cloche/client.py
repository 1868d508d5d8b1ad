"""Cloche from Python: the same pipeline and the same control plane as the command line."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cloche import settings as machine
from cloche.clients.control import record as home_of
from cloche.errors import NotFoundError, UnavailableError
from cloche.progress import SilentProgress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from numpy.typing import NDArray

    from cloche.artifacts import Revision, Verification
    from cloche.clients.control.client import ControlClient
    from cloche.clients.control.launch import Launched
    from cloche.clients.kserve.client import InferenceClient
    from cloche.inputs.declared import Declared
    from cloche.pipeline import Prepared
    from cloche.progress import Progress
    from cloche.settings import Settings

_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class DeployResult:
    """How a deploy ended, or how far it was when it was not waited for."""

    service: str
    change: str
    """`none`, `scaled` or `revision`."""
    revision: Revision
    http: str
    """URL of the infer path."""
    grpc: str
    """Address of the gateway, such as `127.0.0.1:8080`."""


class Client:
    """A home's services. Opens connections when they are needed: close it, or use it as a context.

    `home` is the folder of all state (default: CLOCHE_HOME, then ~/.cloche); `progress` is told of
    long work; `environment` is where credentials and the registry's address are read from.
    """

    def __init__(
        self,
        home: str | Path | None = None,
        *,
        progress: Progress | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._environment = dict(os.environ if environment is None else environment)
        if home is not None:
            self._environment["CLOCHE_HOME"] = str(home)
        self.settings: Settings = machine.load(self._environment)
        self._progress: Progress = progress or SilentProgress()
        self._control: ControlClient | None = None
        self._record: home_of.ControlRecord | None = None
        self._inference: dict[str, InferenceClient] = {}
        self._declared: dict[tuple[str, int], tuple[Declared, str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; services go on."""
        for inference in self._inference.values():
            inference.close()
        self._inference.clear()
        if self._control is not None:
            self._control.close()
            self._control = None

    def deploy(
        self,
        model: str | Path,
        *,
        name: str | None = None,
        wait: bool = True,
        timeout: float = 600.0,
    ) -> DeployResult:
        """Serve a model reference, a path to a model, or the service of a cloche.yaml.

        Returns when the revision is live, or at once with `wait=False`. `timeout` is in seconds.
        Raises ClocheError where the model cannot be served, SupersededError when a later deploy
        took over, UnavailableError `deploy.timeout` when it takes longer; it goes on then.
        """
        from cloche import cache, pipeline
        from cloche.clients.control.client import launched
        from cloche.clients.control.rollout_events import error_of, follow

        with launched(self.settings) as ready, cache.under_way(self.settings):
            prepared = self._prepare(model, name)
            pipeline.provision(prepared, settings=self.settings, progress=self._progress)
            control = self._connected(start=True, launched=ready)
            service = prepared.spec.service_name
            answer = control.deploy(prepared.deployment())
        number = int(answer["revision"])
        if wait:
            title = f"Rolling out revision {number} of {service}"
            with self._progress.step(title) as step:
                for event in follow(self._started, service, number, timeout=timeout):
                    step.note(event.what)
        control = self._connected()
        revision = control.revision(service, number)
        error = error_of(revision) if wait else None
        if error is not None:
            raise error
        status = control.service(service)
        return DeployResult(service, answer["change"], revision, status["http"], status["grpc"])

    def status(self, name: str | None = None) -> dict[str, Any]:
        """Return `{gateway, services}` or one service's status; see docs/reference/json.md."""
        control = self._connected()
        return control.status() if name is None else control.service(name)

    def infer(self, name: str, inputs: Any, *, timeout: float = 60.0) -> dict[str, NDArray[Any]]:
        """Send a request through the gateway and return the outputs by name.

        `inputs` is a dict of arrays by input name, one array where the model has one input, or a
        DataFrame with a column per input. Raises UsageError that names the input, what it was and
        what is expected, before anything is sent; ClocheError when the server refuses.
        BYTES outputs are arrays of `bytes` objects.
        """
        from cloche.clients.kserve.client import decode, encode
        from cloche.inputs.declared import fit

        status = self._connected().service(name)
        declared, model = self._declaration(name, status)
        body, length = encode(fit(declared, inputs), binary=True)
        inference = self._inference_at(f"http://{status['grpc']}", timeout)
        answer = inference.infer(model, body, length, headers={"cloche-service": name})
        return decode(answer.body, answer.header_length)

    def history(self, name: str) -> tuple[Revision, ...]:
        """Return the revisions of a service, oldest first."""
        return self._connected().revisions(name)

    def scale(self, name: str, replicas: int) -> dict[str, Any]:
        """Change the number of replicas, with no new revision; return the service's status."""
        return self._connected().scale(name, replicas)

    def verify(
        self, name: str, *, url: str | None = None, revision: int | None = None
    ) -> Verification:
        """Replay the golden request of a revision (default: the live one).

        `url` is the base URL of any Triton that serves the same repository; None: a replica of this
        home, and the outcome is kept with the revision.
        """
        return self._connected().verify(name, url=url, revision=revision)

    def delete(self, name: str, *, timeout: float = 120.0) -> None:
        """Stop and remove a service; returns when it is gone."""
        control = self._connected()
        control.delete(name)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                control.service(name)
            except NotFoundError:
                return
            time.sleep(_POLL_SECONDS)
        raise UnavailableError("delete.timeout", f"{name} was not gone after {timeout:.0f} s.")

    def down(self) -> dict[str, Any]:
        """Stop all replicas, the gateway and the control plane of this home.

        Returns what was ended: `replicas` (id, pid), `gateway` and `control` (pids, or None). Where
        the control plane is dead, what it left running is ended all the same. Services, revisions
        and the cache stay on record.
        """
        from cloche.clients.control.client import NotRunningError, connect

        self.close()
        if not home_of.has_services(self.settings.home):
            return {"replicas": [], "gateway": None, "control": None}
        try:
            control = connect(self.settings, any_version=True)
        except NotRunningError:
            return self._end_without_control()
        with control:
            status = control.status()
            items = [one for each in status["services"] for one in each["replicas"]["items"]]
            ended = {
                "replicas": [{"id": item["id"], "pid": item["pid"]} for item in items],
                "gateway": status["gateway"]["pid"],
                "control": control.health()["pid"],
            }
            control.down()
        return ended

    # ── inside ────────────────────────────────────────────────────────────────────────────────

    def _prepare(self, model: str | Path, name: str | None) -> Prepared:
        from cloche import pipeline, spec

        path = Path(model)
        if path.suffix in {".yaml", ".yml"} and path.is_file():
            loaded, directory = spec.load(path, name), path.absolute().parent
        else:
            directory = Path.cwd()
            loaded = spec.from_reference(str(model), name, directory=directory)
        return pipeline.prepare(
            loaded,
            directory=directory,
            settings=self.settings,
            progress=self._progress,
            environment=self._environment,
        )

    def _connected(self, *, start: bool = False, launched: Launched | None = None) -> ControlClient:
        """Return the control plane; one that has crashed in a home with services starts again."""
        from cloche.clients.control import client as control

        running = home_of.read_record(self.settings.home)
        if self._control is not None and running is not None and running == self._record:
            return self._control
        home = self.settings.home
        crashed = home_of.has_services(home) and not home_of.was_ended(home)
        if start or crashed:
            self._control = control.connect_or_start(self.settings, self._progress, launched)
        else:
            self._control = control.connect(self.settings)
        self._record = home_of.read_record(self.settings.home)
        return self._control

    def _end_without_control(self) -> dict[str, Any]:
        from cloche import composition

        target = composition.target(self.settings)
        seen = target.observe()
        target.down()
        return {
            "replicas": [{"id": replica.id, "pid": replica.pid} for replica in seen.replicas],
            "gateway": seen.gateway.pid,
            "control": None,
        }

    def _started(self) -> ControlClient:
        return self._connected(start=True)

    def _declaration(self, name: str, status: dict[str, Any]) -> tuple[Declared, str]:
        """Return what the live revision takes, and the model that answers for it."""
        from cloche.inputs.declared import Declared

        live = status["live"]
        if live is None:
            raise UnavailableError(
                "service.not_live",
                f"{name} has no live revision yet: it is {status['phase']}.",
                hint="Wait for its deploy, or see `cloche status`.",
            )
        key = (name, live)
        if key not in self._declared:
            repository = self._connected().revision(name, live).deployment.repository
            declared = Declared(repository.inputs, repository.max_batch_size)
            self._declared[key] = declared, repository.models[0]
        return self._declared[key]

    def _inference_at(self, base: str, timeout: float) -> InferenceClient:
        from cloche.clients.kserve.client import InferenceClient

        key = f"{base} {timeout}"
        if key not in self._inference:
            self._inference[key] = InferenceClient(base, timeout=timeout)
        return self._inference[key]
