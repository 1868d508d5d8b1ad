"""The services of a place in a cluster; each call that changes something hosts the engine."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING

from cloche.client.place import Begun

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from cloche.artifacts import Consent, KubernetesPlace
    from cloche.control import ControlPlane
    from cloche.pipeline.cluster import Opened
    from cloche.progress import Progress
    from cloche.settings import Settings
    from cloche.spec import ServiceSpec


class InCluster:
    """Implements `Place` for a target of the kind kubernetes."""

    def __init__(
        self,
        place: KubernetesPlace,
        settings: Settings,
        progress: Progress,
        environment: Mapping[str, str],
    ) -> None:
        self._place = place
        self._settings, self._progress, self._environment = settings, progress, environment
        self._stack = ExitStack()
        self._reading: Opened | None = None

    def control(self) -> ControlPlane:
        return self._looked().engine

    def reading(self) -> AbstractContextManager[ControlPlane]:
        return nullcontext(self.control())

    @contextmanager
    def acting(self, service: str) -> Iterator[Callable[[], ControlPlane]]:
        with self._opened(service) as opened:
            yield lambda: opened.engine

    @contextmanager
    def deploying(
        self, spec: ServiceSpec, directory: Path, accept: Collection[Consent]
    ) -> Iterator[Begun]:
        from cloche import cache
        from cloche.artifacts import Consent
        from cloche.pipeline import cluster_package

        with self._opened(spec.service_name) as opened, cache.under_way(self._settings):
            deployment, findings = cluster_package.prepared(
                spec, directory, opened,
                settings=self._settings, progress=self._progress, environment=self._environment,
            )  # fmt: skip
            if Consent.TAKE_OVER in accept:
                opened.target.take_over()
            answer = opened.engine.deploy(deployment, accept=accept)
            yield Begun(
                deployment.service, answer, lambda: opened.engine, goes_on=False, findings=findings
            )

    @contextmanager
    def reached(self, service: str) -> Iterator[tuple[str, str | None]]:
        opened = self._looked()
        live = opened.engine.service(service)["live"]
        with opened.target.reach(service, live) as address:
            yield address.http, address.grpc

    def removal(self, service: str) -> Callable[[], None]:
        from cloche.pipeline import cluster_tags

        return cluster_tags.removal(self._looked(), service)

    def close(self) -> None:
        self._stack.close()
        self._reading = None

    # ── inside ────────────────────────────────────────────────────────────────────────────────

    def _looked(self) -> Opened:
        """Return the place as it is opened for queries, which hold nothing there."""
        from cloche.pipeline import cluster

        if self._reading is None:
            opening = cluster.opened(
                self._place, self._environment, acts_for=None, settings=self._settings
            )
            self._reading = self._stack.enter_context(opening)
        return self._reading

    @contextmanager
    def _opened(self, service: str) -> Iterator[Opened]:
        """Yield the place with its engine at work; at the end it has done what was recorded."""
        from cloche.pipeline import cluster, cluster_tags

        opening = cluster.opened(
            self._place, self._environment, acts_for=service, settings=self._settings
        )
        with opening as opened:
            yield opened
            opened.engine.stop()
            opened.engine.reconciler.tick()
            cluster_tags.keep(opened, service)
