"""The programs that run models directly, installed when they are needed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche import composition

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import Lock, Member, ModelRepository, ModelSnapshot, OwnRun, Sandbox
    from cloche.conversion import Asked
    from cloche.progress import Progress
    from cloche.settings import Settings
    from cloche.store import Store
    from cloche.verification.asked import Model


@dataclass(frozen=True, slots=True)
class Software:
    """The server, and the environments of models."""

    settings: Settings
    progress: Progress

    def reference_run(
        self, member: Member, repository: ModelRepository, store: Store, sandbox: Sandbox
    ) -> Model | None:
        """Return how to run a model by its own framework, with what that needs installed.

        None if only its server can run it.
        """
        from cloche.targets.local import runtimes
        from cloche.verification.reference import direct_model

        layout, progress = self.settings.layout, self.progress
        model = direct_model(
            member,
            repository,
            store,
            composition.references(),
            server=lambda: runtimes.interpreter(composition.server(), layout.servers, progress),
            environment=self._environment,
        )
        return None if model is None else replace(model, sandbox=sandbox)

    def own_run(
        self,
        snapshot: ModelSnapshot,
        asked: Asked,
        lock: Lock,
        store: Store,
        *,
        timeout: float,
        sandbox: Sandbox,
    ) -> OwnRun:
        """Return what a model shows in its own environment, which is made; see `conversion.run`."""
        from cloche import conversion

        python = self._environment(lock) / "bin" / "python"
        environment = conversion.OwnEnvironment(python, lock.digest)
        title = "Converting the model" if asked.convert else "Loading the model"
        with self.progress.task(f"{title} ({asked.loading.framework})"):
            return conversion.run(
                snapshot, asked, environment, store, timeout=timeout, sandbox=sandbox
            )

    def _environment(self, lock: Lock) -> Path:
        from cloche import environments

        return environments.materialize(
            lock,
            self.settings.layout.environments,
            self.progress,
            store=composition.store(self.settings),
        )
