"""Cloche from Python: the same pipeline and the same control plane as the command line."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cloche import settings as machine
from cloche.client import places, result
from cloche.client.home import Home
from cloche.client.place import Begun
from cloche.errors import NotFoundError, UnavailableError, UsageError
from cloche.inputs.service_requests import ServiceRequests
from cloche.progress import SilentProgress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from numpy.typing import NDArray

    from cloche.artifacts import ReplicaRange, RevisionStatus, Verification
    from cloche.client.result import DeployResult
    from cloche.control import ControlPlane
    from cloche.progress import Progress
    from cloche.settings import Settings

_POLL_SECONDS = 0.1


class Client:
    """The services of a home. It opens connections when needed: close it, or use it as a context.

    `home` is the folder of all state (default: CLOCHE_HOME, then ~/.cloche). `progress` reports
    long work. Credentials and the registry's address are read from `environment`.

    `control` replaces the home's control plane, for tests and for programs that hold an engine (see
    docs/guides/testing.md). `deploy` then prepares the model but installs no server and does not
    run it; the caller ends the control plane.

    `target` names a place in a cluster among the targets of the cloche.yaml `file` (default: that
    in the current folder): then all calls are about the services there. A call that changes
    something carries it out itself, and holds the service until it returns; `wait=False` is refused
    there.
    """

    def __init__(
        self,
        home: str | Path | None = None,
        *,
        progress: Progress | None = None,
        environment: Mapping[str, str] | None = None,
        control: ControlPlane | None = None,
        target: str | None = None,
        file: str | Path | None = None,
    ) -> None:
        self._environment = dict(os.environ if environment is None else environment)
        if home is not None:
            self._environment["CLOCHE_HOME"] = str(home)
        self.settings: Settings = machine.load(self._environment)
        self._progress: Progress = progress or SilentProgress()
        self._targets, self._place = places.chosen(
            control, target, file,
            settings=self.settings, progress=self._progress, environment=self._environment,
        )  # fmt: skip
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
        self._place.close()

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
        take_over: bool = False,
        wait: bool = True,
        timeout: float = 600.0,
    ) -> DeployResult:
        """Serve a model reference, a path to a model, or the service of a cloche.yaml.

        `accept_interface` lets a revision go live with other inputs, outputs or another backend,
        `accept_weaker` one whose answer is judged by less than that of the live one, and
        `accept_nonfinite` one that answers NaN or infinity where the live one does not. `take_over`
        sets fields of objects in a cluster that others have set otherwise.
        `example` is a file with a request that the model can answer.

        Returns when the revision is live, or at once with `wait=False`. `timeout` is in seconds.
        Raises ClocheError if the model cannot be served, ConflictError `deploy.confirm` if another
        one is served under the name and neither `name` nor `replace` says that it may be replaced,
        SupersededError if a later deploy took over, and UnavailableError `deploy.timeout` if the
        rollout takes longer; it then goes on.
        """
        from cloche.artifacts import Consent

        self._require_wait(wait=wait)
        accept = Consent.given(
            replace=replace,
            interface=accept_interface,
            weaker=accept_weaker,
            nonfinite=accept_nonfinite,
            take_over=take_over,
        )
        spec, directory = places.spec_of(model, name, example, self._targets)
        with self._place.deploying(spec, directory, accept) as begun:
            return result.of(begun, wait=wait, timeout=timeout, progress=self._progress)

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
        self._require_wait(wait=wait)
        with self._place.acting(name) as connect:
            answer = connect().rollback(name, to, verify=verify)
            begun = Begun(name, answer, connect, goes_on=self._targets is None)
            return result.of(begun, wait=wait, timeout=timeout, progress=self._progress)

    def status(self, name: str | None = None) -> dict[str, Any]:
        """Return `{gateway, services, kept, problems}`, or one service's status.

        docs/reference/json.md has both. After `down` it is what is recorded.
        """
        with self._place.reading() as control:
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

        In a cluster a pod is asked, through a forwarded port.

        `inputs` is a dict of arrays by input name, one array for a model with one input, or a
        DataFrame with a column per input; values may be missing where the model says so. BYTES
        outputs are arrays of `bytes` objects, None where a value is missing. `parameters` are the
        model's inference parameters. Raises
        UsageError with the input, its value and what is expected before anything is sent, and
        ClocheError if the server refuses. `timeout` is in seconds.
        """
        with self._place.reached(name) as server:
            return self._requests.infer(
                self._place.control(), name, inputs,
                parameters=parameters, timeout=timeout, server=server,
            )  # fmt: skip

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
        with self._place.reached(name) as server:
            yield from self._requests.stream(
                self._place.control(), name, inputs,
                parameters=parameters, timeout=timeout, server=server,
            )  # fmt: skip

    def history(self, name: str) -> tuple[RevisionStatus, ...]:
        """Return the revisions of a service, oldest first; after `down`, too."""
        with self._place.reading() as control:
            return control.revisions(name)

    def scale(self, name: str, replicas: int | ReplicaRange) -> dict[str, Any]:
        """Change the number of replicas without a new revision; return the service's status.

        A range is for a service that is autoscaled. The status has `findings`, too, if the place
        where it runs has something to say about it.
        """
        with self._place.acting(name) as connect:
            return connect().scale(name, replicas)

    def restart(self, name: str) -> dict[str, Any]:
        """Begin to replace each replica of the live revision; return the service's status.

        It is done when every replica that is not stopping has the status's `restarted_at`.
        """
        with self._place.acting(name) as connect:
            return connect().restart(name)

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
        control, golden = self._place.control(), None
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
        with self._place.acting(name) as connect:
            control, done = connect(), self._place.removal(name)
            control.delete(name)
            deadline = time.monotonic() + timeout
            while time.monotonic() < deadline:
                try:
                    control.service(name)
                except NotFoundError:
                    done()
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
        if not isinstance(self._place, Home):
            what = "A cluster is not ended: its services run without Cloche."
            raise UsageError("client.down", what, hint="`delete` removes a service.")
        return self._place.down()

    # ── inside ────────────────────────────────────────────────────────────────────────────────

    def _require_wait(self, *, wait: bool) -> None:
        if not wait and self._targets is not None:
            what = "In a cluster nothing carries on a rollout that this call leaves."
            raise UsageError("deploy.no_wait", what, hint="Leave wait=False out.")
