"""Triton as a `cloche.servers.Server`: its release, protocols, metrics and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from cloche.servers.server import ServerMetrics, WireProtocol
from cloche.servers.triton import backend_folder, installation, process
from cloche.servers.triton.installed import InstalledTriton

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from cloche.artifacts import ContainerStart, ModelRepository, ServerBase
    from cloche.progress import Progress

_CANCELLATION_MENDED = "25.04"
"""The first release with https://github.com/triton-inference-server/server/pull/8078."""


class TritonServer:
    """NVIDIA Triton from its wheel; implements `cloche.servers.Server`."""

    name = "triton"
    version = installation.VERSION
    release = installation.RELEASE
    package = "nvidia-pytriton"
    image = f"nvcr.io/nvidia/tritonserver:{installation.RELEASE}-py3"
    protocols = frozenset({WireProtocol.KSERVE_HTTP, WireProtocol.KSERVE_GRPC})
    metrics = ServerMetrics(
        successes="nv_inference_request_success",
        failures="nv_inference_request_failure",
        request_microseconds="nv_inference_request_duration_us",
        queue_microseconds="nv_inference_queue_duration_us",
        pending="nv_inference_pending_request_count",
    )
    model_program: str | None = backend_folder.STUB
    survives_cancelled_calls = release >= _CANCELLATION_MENDED
    exit_limit = process.EXIT_SECONDS

    def check_host(self) -> None:
        """Raise ClocheError `server.triton.platform` if the wheel cannot run."""
        from cloche.servers.triton import host

        host.check()

    def has_gpu(self) -> bool:
        """Return whether a driver of NVIDIA runs here, and a GPU is visible."""
        from cloche.servers.triton import host

        return host.has_gpu()

    def install(
        self,
        root: Path,
        progress: Progress | None = None,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> InstalledTriton:
        """Return the installation under `root`; see `installation.install`."""
        installed_triton = installation.install(root, progress, environment=environment)
        return InstalledTriton.of(installed_triton)

    def installed(self, root: Path) -> bool:
        """Return whether these pins are installed on any Python."""
        return installation.find(root) is not None

    def outdated(self, root: Path) -> list[Path]:
        """Return the installations of other pins."""
        return installation.outdated(root)

    def ready_paths(self, models: Iterable[str]) -> tuple[str, ...]:
        """Return each model's ready path in the KServe v2 protocol."""
        return tuple(f"/v2/models/{quote(model, safe='')}/ready" for model in models)

    def container(
        self, repository: ModelRepository, tree: Path, python_backends: Collection[str] = ()
    ) -> ContainerStart:
        """Return how Triton starts in its container; see `container.start`."""
        from cloche.servers.triton import container

        return container.start(repository, tree, python_backends)

    def base(self, packages: str, python: str) -> ServerBase:
        """Return what Cloche's own base holds of Triton; see `base.describe`."""
        from cloche.servers.triton import base

        return base.describe(packages, python)

    def clean(self, serving: Path, identity: str) -> None:
        """Remove the temporary files and the shared memory of a replica."""
        process.clean(serving, identity)
