"""Judging the answers of replicas, with the installations of this machine.

The command that sends a deployment installs the server, and makes the environment that the model
runs in, so both are on this machine when it arrives. That of a converted model may be missing: how
far its own answers differ is then not measured.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.progress import SilentProgress
from cloche.targets.local import runtimes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.artifacts import Golden, Revision, Verification
    from cloche.servers import Server
    from cloche.settings import Settings
    from cloche.store import Store
    from cloche.targets import ReplicaAddress
    from cloche.verification.asked import Model
    from cloche.verification.noise import Noise
    from cloche.verification.reference import Reference

_NO_ENVIRONMENT = "environment.missing"


class LocalVerifier:
    """Implements `cloche.control.Verifier`."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        server: Server,
        references: Mapping[str, Reference],
    ) -> None:
        self._layout = settings.layout
        self._store = store
        self._server = server
        self._references = references

    def verify(
        self,
        revision: Revision,
        server: ReplicaAddress,
        *,
        limit: float,
        golden: Golden | None = None,
    ) -> Verification:
        """Send a golden request to a server and return the judgement of the answer."""
        from cloche.verification import replay

        if golden is None and revision.deployment.adopted is not None:
            return replay.ready(server.http, revision.deployment.repository.main)
        request = golden or revision.deployment.golden
        if request is None:
            raise ClocheError(
                "golden.missing",
                f"Revision {revision.number} of {revision.service} has no golden request.",
                where=revision.service,
                hint="Deploy its model again.",
            )
        return replay.verify(
            request,
            server.http,
            grpc=server.grpc,
            model=revision.deployment.repository.main,
            store=self._store,
            noise=partial(self._noise, revision, request, limit),
            tf32=revision.deployment.tf32,
        )

    def _noise(self, revision: Revision, request: Golden, limit: float) -> Noise:
        """Return how far the model's own answers differ, measured once per request."""
        from cloche.verification import bodies, noise

        repository = revision.deployment.repository.digest
        remembered = noise.recall(repository, request, self._store)
        if remembered is not None:
            return remembered
        try:
            model = self._model(revision)
        except ClocheError as error:
            if error.code != _NO_ENVIRONMENT:
                raise
            return {}
        measured: Noise = {}
        if model is not None and request.expected is not None:
            own = bodies.request(request.requests[0], request.origin, self._store)
            answer = bodies.read(request.expected, self._store)
            measured = noise.measure(model, own, answer, timeout=limit)
        noise.remember(repository, request, measured, self._store)
        return measured

    def _model(self, revision: Revision) -> Model | None:
        """Return how to run a revision's model directly; None if only its server can."""
        from cloche import environments
        from cloche.verification.reference import direct_model

        layout, silent = self._layout, SilentProgress()
        return direct_model(
            revision.deployment.main,
            revision.deployment.repository,
            self._store,
            self._references,
            server=lambda: runtimes.interpreter(self._server, layout.servers, silent),
            environment=lambda lock: environments.existing(lock, layout.environments),
        )
