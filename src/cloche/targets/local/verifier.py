"""Golden requests and checks with what this machine has installed.

The command that sent a deployment has installed the server and made the model's environment: both
are in the cache when it arrives.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from cloche.progress import SilentProgress

if TYPE_CHECKING:
    from cloche.artifacts import Golden, Revision, Verification
    from cloche.settings import Settings
    from cloche.store import Store


_NEEDED_TO_VERIFY = ("cloche.clients.kserve.client", "cloche.verification.replay", "httpx", "numpy")
"""Loaded while replicas start, so that the check of the answer has not to wait for it."""


class LocalVerifier:
    """Implements `cloche.control.actuator.Verifier`."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._layout = settings.layout
        self._store = store

    def golden(self, revision: Revision) -> Golden:
        """Run the model directly, with the server's ONNX Runtime or in its own environment."""
        from cloche import environments
        from cloche.servers import triton
        from cloche.verification import golden

        for module in _NEEDED_TO_VERIFY:
            import_module(module)
        deployment = revision.deployment
        environment = None
        if deployment.lock is not None:
            environment = environments.existing(deployment.lock, self._layout.environments)
        return golden.make(
            deployment,
            self._store,
            server_python=triton.install(self._layout.servers, SilentProgress()).interpreter,
            environment=environment,
        )

    def verify(self, revision: Revision, golden: Golden, url: str) -> Verification:
        """Ask the server at a base URL, and compare what it answers."""
        from cloche.verification import replay as verification

        return verification.verify(
            golden,
            url,
            model=revision.deployment.repository.models[0],
            store=self._store,
            repository=revision.deployment.repository,
        )
