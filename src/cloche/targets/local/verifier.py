"""Golden requests and checks with the installations of this machine.

The command that sends a deployment installs the server and makes the model's environment first, so
both are on this machine when it arrives.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from cloche.progress import SilentProgress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.artifacts import Golden, Revision, Verification
    from cloche.servers import Server
    from cloche.settings import Settings
    from cloche.store import Store
    from cloche.verification.reference import Reference


_NEEDED_TO_VERIFY = ("cloche.clients.kserve.client", "cloche.verification.replay", "httpx", "numpy")
"""Modules loaded while replicas start, so that the check of the answer does not wait for them."""


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

    def golden(self, revision: Revision, *, limit: float) -> Golden:
        """Return the golden request, from a run with the server's runtimes or the model's own."""
        from cloche import environments
        from cloche.verification import golden
        from cloche.verification.reference import Interpreters

        for module in _NEEDED_TO_VERIFY:
            import_module(module)
        deployment = revision.deployment
        lock, environment = deployment.main.lock, None
        if lock is not None:
            environment = environments.existing(lock, self._layout.environments)
        installed = self._server.install(self._layout.servers, SilentProgress())
        own = environment / "bin" / "python" if environment else None
        return golden.make(
            deployment,
            self._store,
            references=self._references,
            interpreters=Interpreters(installed.interpreter, own),
            timeout=limit,
        )

    def verify(self, revision: Revision, golden: Golden, url: str) -> Verification:
        """Send the golden request to a base URL and return the comparison of the answer."""
        from cloche.verification import replay as verification

        return verification.verify(
            golden,
            url,
            model=revision.deployment.repository.main.name,
            store=self._store,
            repository=revision.deployment.repository,
        )
