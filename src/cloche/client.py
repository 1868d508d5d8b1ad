"""Cloche from Python: the same pipeline and the same control plane as the command line."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cloche import settings as machine
from cloche.clients.control.connection import HomeConnection
from cloche.errors import NotFoundError, UnavailableError, UsageError
from cloche.inputs.service_requests import ServiceRequests
from cloche.progress import SilentProgress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from numpy.typing import NDArray

    from cloche.artifacts import (
        DeployAnswer,
        Deployment,
        Finding,
        ReplicaRange,
        RevisionStatus,
        Verification,
    )  # fmt: skip
    from cloche.clients.control.launch import Launched
    from cloche.control import ControlPlane
    from cloche.progress import Progress
    from cloche.settings import Settings

_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class DeployResult:
    """The outcome of a deploy, or its state when the call did not wait."""

    service: str
    change: str
    """`none`, `scaled` or `revision`."""
    revision: RevisionStatus
    http: str
    """URL of the infer path."""
    grpc: str
    """Address of the gateway, such as `127.0.0.1:8080`."""
    findings: tuple[Finding, ...] = ()
    """What the place where it runs has to say about it."""


class Client:
    """The services of a home. It opens connections when needed: close it, or use it as a context.

    `home` is the folder of all state (default: CLOCHE_HOME, then ~/.cloche). `progress` reports
    long work. Credentials and the registry's address are read from `environment`.

    `control` replaces the home's control plane, for tests and for programs that hold an engine (see
    docs/guides/testing.md). `deploy` then prepares the model but installs no server and does not
    run it; the caller ends the control plane.
    """

    def __init__(
        self,
        home: str | Path | None = None,
        *,
        progress: Progress | None = None,
        environment: Mapping[str, str] | None = None,
        control: ControlPlane | None = None,
    ) -> None:
        self._environment = dict(os.environ if environment is None else environment)
        if home is not None:
            self._environment["CLOCHE_HOME"] = str(home)
        self.settings: Settings = machine.load(self._environment)
        self._progress: Progress = progress or SilentProgress()
        self._given_control = control
        self._home = HomeConnection(self.settings, self._progress)
        self._requests = ServiceRequests()

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
        """Close the connections; services run on."""
        self._requests.close()
        self._home.close()

    def deploy(
        self,
        model: str | Path,
        *,
        name: str | None = None,
        example: str | Path | None = None,
        replace: bool = False,
        accept_interface: bool = False,
        accept_weaker: bool = False,
        accept_nonfinite: bool = False,
        wait: bool = True,
        timeout: float = 600.0,
    ) -> DeployResult:
        """Serve a model reference, a path to a model, or the service of a cloche.yaml.

        `accept_interface` lets a revision go live with other inputs, outputs or another backend,
        `accept_weaker` one whose answer is judged by less than that of the live one, and
        `accept_nonfinite` one that answers NaN or infinity where the live one does not.
        `example` is a file with a request that the model can answer.

        Returns when the revision is live, or at once with `wait=False`. `timeout` is in seconds.
        Raises ClocheError if the model cannot be served, ConflictError `deploy.confirm` if another
        one is served under the name and neither `name` nor `replace` says that it may be replaced,
        SupersededError if a later deploy took over, and UnavailableError `deploy.timeout` if the
        rollout takes longer; it then goes on.
        """
        from cloche import cache, pipeline
        from cloche.artifacts import Consent

        with self._launch() as ready, cache.under_way(self.settings):
            deployment = self._prepare(model, name, example)
            if self._given_control is None:
                pipeline.provision(
                    deployment,
                    settings=self.settings,
                    progress=self._progress,
                    environment=self._environment,
                )
            control = self._connection(start=True, launched=ready)
            accept = Consent.given(
                replace=replace,
                interface=accept_interface,
                weaker=accept_weaker,
                nonfinite=accept_nonfinite,
            )
            answer = control.deploy(deployment, accept=accept)
        return self._result_of(deployment.service, answer, wait=wait, timeout=timeout)

    def rollback(
        self,
        name: str,
        to: int | None = None,
        *,
        verify: bool = True,
        wait: bool = True,
        timeout: float = 600.0,
    ) -> DeployResult:
        """Bring back a revision; None is the one that was live before.

        Its files are in the cache; no model registry is contacted. Its golden request must pass
        before it gets traffic, unless `verify` is False and it passed before. Waits and raises like
        `deploy`; raises ClocheError `rollback.…` if there is nothing to go back to.
        """
        answer = self._connection().rollback(name, to, verify=verify)
        return self._result_of(name, answer, wait=wait, timeout=timeout)

    def status(self, name: str | None = None) -> dict[str, Any]:
        """Return `{gateway, services, kept, problems}`, or one service's status.

        docs/reference/json.md has both.
        """
        control = self._connection()
        return control.status() if name is None else control.service(name)

    def infer(
        self,
        name: str,
        inputs: Any,
        *,
        parameters: Mapping[str, Any] | None = None,
        timeout: float = 60.0,
    ) -> dict[str, NDArray[Any]]:
        """Send a request through the gateway and return the outputs by name.

        `inputs` is a dict of arrays by input name, one array for a model with one input, or a
        DataFrame with a column per input; values may be missing where the model says so. BYTES
        outputs are arrays of `bytes` objects, None where a value is missing. `parameters` are the
        model's inference parameters. Raises
        UsageError with the input, its value and what is expected before anything is sent, and
        ClocheError if the server refuses. `timeout` is in seconds.
        """
        return self._requests.infer(
            self._connection(), name, inputs, parameters=parameters, timeout=timeout
        )

    def stream(
        self,
        name: str,
        inputs: Any,
        *,
        parameters: Mapping[str, Any] | None = None,
        timeout: float = 60.0,
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Send a request to a model that answers with a stream, and yield each of its answers.

        Over gRPC; everything else is as in `infer`.
        """
        return self._requests.stream(
            self._connection(), name, inputs, parameters=parameters, timeout=timeout
        )

    def history(self, name: str) -> tuple[RevisionStatus, ...]:
        """Return the revisions of a service, oldest first."""
        return self._connection().revisions(name)

    def scale(self, name: str, replicas: int | ReplicaRange) -> dict[str, Any]:
        """Change the number of replicas without a new revision; return the service's status.

        A range is for a service that is autoscaled. The status has `findings`, too, if the place
        where it runs has something to say about it.
        """
        return self._connection().scale(name, replicas)

    def restart(self, name: str) -> dict[str, Any]:
        """Begin to replace each replica of the live revision; return the service's status.

        It is done when every replica that is not stopping has the status's `restarted_at`.
        """
        return self._connection().restart(name)

    def verify(
        self,
        name: str,
        *,
        url: str | None = None,
        revision: int | None = None,
        example: str | Path | None = None,
    ) -> Verification:
        """Replay the golden request of a revision (default: the live one).

        `url` is the base URL of any Triton that serves the same repository. Without it a replica
        of this home answers, and the outcome is attached to the revision. `example` is a file with
        another request; the model's own framework, run here, says what is right.
        """
        control, golden = self._connection(), None
        if example is not None:
            from cloche import pipeline

            number = revision or control.service(name)["revision"]
            deployment = control.revision(name, number).deployment
            golden = pipeline.golden(
                deployment, Path(example), settings=self.settings, progress=self._progress
            )
        return control.verify(name, url=url, revision=revision, golden=golden)

    def delete(self, name: str, *, timeout: float = 120.0) -> None:
        """Stop and remove a service; return when it is gone.

        Raises UnavailableError `delete.timeout` after `timeout` seconds.
        """
        control = self._connection()
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

        Returns what ended: `replicas` (id, pid), `gateway` and `control` (pids, or None). If the
        control plane is dead, what it left running is ended too. The records of services and
        revisions and the cache stay. Raises UsageError `client.down` if the control plane was
        passed as `control`.
        """
        if self._given_control is not None:
            what = "The control plane was passed to this client; the client does not end it."
            raise UsageError("client.down", what, hint="End it in the code that made it.")
        self.close()
        return self._home.down() or self._end_without_control()

    # ── inside ────────────────────────────────────────────────────────────────────────────────

    def _result_of(
        self, service: str, answer: DeployAnswer, *, wait: bool, timeout: float
    ) -> DeployResult:
        """Return the result of a recorded rollout; raises the error that it ended with."""
        from cloche.clients.control.rollout_events import error_of, see_through

        number = answer["revision"]
        if wait:
            revision = see_through(
                self._start, service, number, progress=self._progress, timeout=timeout
            )
            error = error_of(revision)
            if error is not None:
                raise error
        control = self._connection()
        revision, status = control.revision(service, number), control.service(service)
        findings = answer.get("findings", ())
        return DeployResult(
            service, answer["change"], revision, status["http"], status["grpc"], findings
        )

    def _prepare(
        self, model: str | Path, name: str | None, example: str | Path | None
    ) -> Deployment:
        from cloche import pipeline, spec

        path = Path(model)
        if path.suffix in {".yaml", ".yml"} and path.is_file():
            loaded, directory = spec.load(path, name), path.absolute().parent
        else:
            directory = Path.cwd()
            loaded = spec.from_reference(str(model), name, directory=directory)
        if example is not None:
            loaded = loaded.with_example(Path(example).absolute())
        if self._given_control is None:
            pipeline.require_runtime(loaded, self._environment)
        return pipeline.prepare(
            loaded,
            directory=directory,
            settings=self.settings,
            progress=self._progress,
            environment=self._environment,
            run_model=self._given_control is None,
        )

    def _launch(self) -> AbstractContextManager[Launched | None]:
        """Launch a control plane for a deploy, if none runs and none was passed."""
        return nullcontext() if self._given_control is not None else self._home.launch()

    def _connection(self, *, start: bool = False, launched: Launched | None = None) -> ControlPlane:
        if self._given_control is not None:
            return self._given_control
        return self._home.control(start=start, launched=launched)

    def _end_without_control(self) -> dict[str, Any]:
        from cloche import composition

        target = composition.target(self.settings)
        replicas, gateway = target.replicas(), target.gateway()
        target.down()
        return {
            "replicas": [{"id": replica.id, "pid": replica.pid} for replica in replicas],
            "gateway": gateway.pid,
            "control": None,
        }

    def _start(self) -> ControlPlane:
        return self._connection(start=True)
