"""The release of Triton for GPUs: one for all targets of a file, so that digests are the same."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.artifacts import Finding, ModelFormat, Origin, Reason, Severity
from cloche.clients.patience import Patience
from cloche.errors import ClocheError
from cloche.images.bases import base as bases
from cloche.images.bases import ngc
from cloche.nvidia import Cuda, Software, known
from cloche.nvidia.compatibility import MINIMUM
from cloche.targets.kubernetes.gpus import releases

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cloche.artifacts import Deployment, KubernetesPlace
    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.images.bases.base import Base
    from cloche.nvidia import Release
    from cloche.spec import ServiceSpec
    from cloche.targets.kubernetes.gpus.survey import Survey

_BRIEF = Patience(pauses=(0.5,), stall=10.0)
"""For clusters that are asked beside the one that is deployed to."""


def _of_release(name: str) -> Software:
    """Return what the image of a release brings, as far as its release is known."""
    release = known(name)
    return Software(None if release is None else release.cuda, name)


_DEFAULT = _of_release(ngc.OLDEST)


@dataclass(frozen=True, slots=True)
class GpuRelease:
    """The base that is taken where none is written, why, and what could not be asked."""

    base: str = ngc.IMAGE
    software: Software = _DEFAULT
    reasons: tuple[Reason, ...] = ()
    findings: tuple[Finding, ...] = ()


def choose(
    spec: ServiceSpec,
    place: KubernetesPlace,
    cluster: Cluster,
    environment: Mapping[str, str],
) -> GpuRelease:
    """Return the release that is asked for, else the newest that every target with GPUs can run.

    That is natively, as far as is known.

    `cluster` is that of `place`; the others are asked if they answer. Where a target names its
    base that one is taken there, and judged like any other.
    """
    served = spec.at(place.name).served()
    if place.base is not None:
        return GpuRelease()
    if served.server.release is not None:
        return _asked(served.server.release)
    if served.resources.gpu is None:
        return GpuRelease()
    surveys: dict[str, Survey | None] = {}
    findings: list[Finding] = []
    with ExitStack() as stack:
        for there in _places(spec):
            try:
                asked = cluster if there.name == place.name else _connect(there, environment, stack)
                surveys[there.name] = _survey(spec, there, asked)
            except ClocheError as error:
                surveys[there.name] = None
                findings.append(_unasked(there, error))
    release = releases.newest(surveys.values())
    if release is None:
        return GpuRelease(findings=tuple(findings))
    base = ngc.image(release.name)
    why = _why(release, surveys)
    if release.name < ngc.OLDEST:
        findings.append(_insecure(release, why))
    reason = Reason("base", base, Origin.MEASURED, why)
    return GpuRelease(base, _of_release(release.name), (reason,), tuple(findings))


def _asked(release: str) -> GpuRelease:
    """Return a release that the spec names; raises UsageError `image.release`."""
    base = ngc.asked_for(release)
    reason = Reason("base", base, Origin.SPEC, "server.release asks for it.")
    return GpuRelease(base, _of_release(release), (reason,))


def idle(deployment: Deployment) -> Iterator[Finding]:
    """Yield the models that would leave a GPU idle: run by their own framework, on processors.

    What the Python code of a finished repository uses is its own affair.
    """
    if deployment.served.resources.gpu is None:
        return
    if deployment.main.snapshot.format is ModelFormat.TRITON:
        return
    named = [each.name for each in deployment.repository.members if each.backend == "python"]
    if named:
        yield Finding(
            Severity.WARNING,
            "target.kubernetes.gpu_idle",
            f"{', '.join(named)} is run by its own framework, which uses processors here: the GPU"
            " would stay idle.",
            where="resources.gpu",
            hint="Have it converted to ONNX (conversion: required says why it is not), or leave"
            " `resources.gpu` out.",
        )


def software_of(base: Base) -> Software:
    """Return what a base brings for GPUs."""
    return Software(Cuda.parse(base.software.cuda), base.software.triton)


def require_cuda(base: Base, text: str) -> None:
    """Raise ClocheError `image.base.cuda` for a base that says what it holds, and has no CUDA."""
    labels = base.config.get("config", {}).get("Labels") or {}
    if base.software.cuda is None and bases.TRITON_LABEL in labels:
        raise ClocheError(
            "image.base.cuda",
            "The base has no CUDA, and `resources.gpu` asks for a GPU.",
            where=text,
            hint="Leave `base:` of the target out to take NVIDIA's, or give yours the label"
            f" {bases.CUDA_LABEL} with the version that it holds.",
        )


def _places(spec: ServiceSpec) -> Iterator[KubernetesPlace]:
    """Yield the targets that have GPUs and name no base."""
    for name, target in spec.targets.items():
        if spec.at(name).served().resources.gpu is not None and target.base is None:
            yield target.place(name)


def _connect(place: KubernetesPlace, environment: Mapping[str, str], stack: ExitStack) -> Cluster:
    from cloche.clients.kubernetes.cluster import connect

    return stack.enter_context(connect(place.context, environment, patience=_BRIEF))


def _survey(spec: ServiceSpec, place: KubernetesPlace, cluster: Cluster) -> Survey | None:
    from cloche.images import platforms
    from cloche.targets.kubernetes.gpus import survey as surveys
    from cloche.targets.kubernetes.objects import placing

    gpu, here = spec.at(place.name).served().resources.gpu, platforms.here()
    outline = placing.outline(gpu, place.pods, here.architecture, Software())
    return surveys.survey(surveys.read(cluster), outline, None)


def _why(release: Release, surveys: Mapping[str, Survey | None]) -> str:
    seen = [
        f"{name} ({_drivers(survey)})"
        for name, survey in surveys.items()
        if survey is not None and survey.open
    ]
    unknown = [name for name in surveys if not any(each.startswith(f"{name} (") for each in seen)]
    where = f"for the drivers of {', '.join(seen)}" if seen else "where no driver is known"
    rest = f"; nothing is known of {', '.join(unknown)}" if unknown else ""
    return f"The newest release {where}{rest}: CUDA {release.cuda} ({release.source})."


def _drivers(survey: Survey) -> str:
    texts = {str(node.says.driver or "unknown") for node in survey.open}
    return ", ".join(sorted(texts))


def _unasked(place: KubernetesPlace, error: ClocheError) -> Finding:
    return Finding(
        Severity.NOTE,
        "target.kubernetes.unasked",
        f"The release of Triton is chosen without the drivers of {place.name}: {error.what}",
        where=f"targets.{place.name}",
        hint="Deploy from where all targets with GPUs answer, or write `base:` for each.",
    )


def _insecure(release: Release, why: str) -> Finding:
    return Finding(
        Severity.WARNING,
        "image.network",
        f"{ngc.known(release.name).insecure}. {why}",
        where="base",
        hint=f"Upgrade the drivers to {MINIMUM[13]} or newer.",
    )
