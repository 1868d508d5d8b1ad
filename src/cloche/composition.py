"""The one place that chooses implementations, by plain tables.

A new format, backend, source, server, state or target is a file of its own and a line here.
Each implementation is imported where it is made, so a command loads only what it uses.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cloche.artifacts import ModelFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cloche.artifacts import Deployment, KubernetesPlace
    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.clients.oci.registry import Registry
    from cloche.control import Verifier
    from cloche.conversion import Converter
    from cloche.formats import Format
    from cloche.formats.triton import ServedBackends
    from cloche.repository import Backend, MakeRepository
    from cloche.servers import Server
    from cloche.settings import Settings
    from cloche.sources import Source
    from cloche.state import Hold, Journal, State
    from cloche.state.kubernetes import KubernetesState
    from cloche.state.kubernetes.lease import Lease
    from cloche.store import Store
    from cloche.targets.kubernetes.target import KubernetesTarget
    from cloche.targets.local.installations import LocalInstallations
    from cloche.targets.local.resting import RestingTarget
    from cloche.targets.local.target import LocalTarget
    from cloche.verification.reference import Reference

# ── models: from a reference to a repository ──────────────────────────────────────────────────


def sources() -> tuple[Source, ...]:
    """Return the sources of models."""
    from cloche.sources.files import FilesSource
    from cloche.sources.huggingface import HuggingFaceSource
    from cloche.sources.mlflow import MlflowSource

    known = formats()
    every = tuple(known.values())
    return FilesSource(every), MlflowSource(known[ModelFormat.MLFLOW]), HuggingFaceSource(every)


def formats() -> Mapping[ModelFormat, Format]:
    """Return the formats of models, in the order in which a path is tried.

    Weights in a folder of transformers come before PyTorch's own files, of which they may be one.
    ONNX comes last: it has no mark of its own, and any file may be such a model.
    """
    from cloche.formats.jax import JaxFormat
    from cloche.formats.keras import KerasFormat
    from cloche.formats.lightgbm import LightgbmFormat
    from cloche.formats.mlflow import MlflowFormat
    from cloche.formats.onnx import OnnxFormat
    from cloche.formats.pytorch import PyTorchFormat
    from cloche.formats.sklearn import SklearnFormat
    from cloche.formats.tensorflow import TensorFlowFormat
    from cloche.formats.transformers import TransformersFormat
    from cloche.formats.triton import TritonFormat
    from cloche.formats.xgboost import XgboostFormat

    return {
        ModelFormat.MLFLOW: MlflowFormat(),
        ModelFormat.TRITON: TritonFormat(_served_backends),
        ModelFormat.TRANSFORMERS: TransformersFormat(),
        ModelFormat.PYTORCH: PyTorchFormat(),
        ModelFormat.XGBOOST: XgboostFormat(),
        ModelFormat.LIGHTGBM: LightgbmFormat(),
        ModelFormat.SKLEARN: SklearnFormat(),
        ModelFormat.TENSORFLOW: TensorFlowFormat(),
        ModelFormat.KERAS: KerasFormat(),
        ModelFormat.JAX: JaxFormat(),
        ModelFormat.ONNX: OnnxFormat(),
    }


def _served_backends() -> ServedBackends:
    """Return the backends of finished repositories; ONNX files complete their config.pbtxt."""
    from cloche.formats.onnx.inspection import inspect_file
    from cloche.formats.triton import Completion, ServedBackends

    known = backends()
    onnx = Completion(inspect_file, known["onnxruntime"].completed_batch)
    return ServedBackends((*known, "pytorch"), {"onnxruntime": onnx})


def backends() -> Mapping[str, Backend]:
    """Return Triton's backends by their name in config.pbtxt."""
    from cloche.repository.backends.onnxruntime import OnnxRuntime
    from cloche.repository.backends.python import Python

    return {"onnxruntime": OnnxRuntime(), "python": Python()}


def repository_maker(form: ModelFormat) -> MakeRepository:
    """Return the function that makes a repository; a finished repository is kept as it is."""
    from cloche import repository

    makers: dict[ModelFormat, MakeRepository] = {ModelFormat.TRITON: repository.keep}
    return makers.get(form, repository.build)


def references() -> Mapping[str, Reference]:
    """Return the direct runs of models, by their framework, else by their backend."""
    from cloche.verification.reference.onnx_file import OnnxReference
    from cloche.verification.reference.own import OwnReference
    from cloche.verification.reference.pyfunc import PyfuncReference

    own = dict.fromkeys(converters(), OwnReference())
    return {"onnxruntime": OnnxReference(), "python": PyfuncReference(), **own}


def converters() -> Mapping[str, Converter]:
    """Return the converters of models by the framework that loads them."""
    from cloche.conversion.jax import Jax
    from cloche.conversion.pytorch import PyTorch
    from cloche.conversion.sklearn import Sklearn
    from cloche.conversion.tensorflow import TensorFlow
    from cloche.conversion.transformers import Transformers

    return {
        "pytorch": PyTorch(), "sklearn": Sklearn(), "transformers": Transformers(),
        "tensorflow": TensorFlow(), "jax": Jax(),
    }  # fmt: skip


# ── servers ───────────────────────────────────────────────────────────────────────────────────


def servers() -> Mapping[str, Server]:
    """Return the servers that revisions can run on."""
    from cloche.servers.triton import TritonServer

    return {"triton": TritonServer()}


def server() -> Server:
    """Return the server that serves model repositories."""
    return servers()["triton"]


# ── a home: its store, state and target ───────────────────────────────────────────────────────


def store(settings: Settings) -> Store:
    """Return the content-addressed store of this home."""
    from cloche.store import Store

    return Store(settings.layout.store, settings.cache_max_size)


def states() -> Mapping[str, Callable[[Settings], State]]:
    """Return the kinds of states, each opened for a home."""
    from cloche.state.sqlite import SqliteState

    def sqlite(settings: Settings) -> State:
        return SqliteState(settings.layout.state, reserve=settings.layout.state_reserve)

    return {"sqlite": sqlite}


def journals() -> Mapping[str, Callable[[Settings], Journal]]:
    """Return the kinds of journals; each goes with the state of the same name."""
    from cloche.state.sqlite import SqliteJournal

    return {"sqlite": lambda settings: SqliteJournal(settings.layout.state)}


def targets() -> Mapping[str, Callable[[Settings], LocalTarget]]:
    """Return the kinds of targets, each opened for a home."""
    from cloche.targets.local.target import LocalTarget

    return {"local": lambda settings: LocalTarget(settings, store(settings), server())}


def state(settings: Settings) -> State:
    """Return the record of services and revisions of this home."""
    return states()["sqlite"](settings)


def journal(settings: Settings) -> Journal:
    """Return the journal of events of this home."""
    return journals()["sqlite"](settings)


def target(settings: Settings) -> LocalTarget:
    """Return the local target, which is also its host: it adopts what runs in this home."""
    return targets()["local"](settings)


def running(settings: Settings) -> dict[str, int]:
    """Return the pid of each server of this home that runs, by its name, recorded or not."""
    from cloche.targets.local import processes

    return {each.marker.name: each.pid for each in processes.find(settings.home) if each.leads}


def recorded_state(settings: Settings) -> State:
    """Return what this home has recorded now of services and revisions; nothing is written."""
    from cloche.state.sqlite import SqliteState

    return SqliteState(settings.layout.state, copied=True)


def recorded_journal(settings: Settings) -> Journal:
    """Return the events that this home has recorded by now; nothing is written."""
    from cloche.state.sqlite import SqliteJournal

    return SqliteJournal(settings.layout.state, copied=True)


def resting_target(settings: Settings, why: str) -> RestingTarget:
    """Return the local target while nothing of it runs; `why` says so, as a sentence."""
    from cloche.targets.local.resting import RestingTarget

    return RestingTarget(settings, store(settings), server(), why)


def installations(settings: Settings) -> LocalInstallations:
    """Return the installed programs (servers, gateway) of the local target."""
    from cloche.targets.local.installations import LocalInstallations

    return LocalInstallations(settings.layout.servers, server(), servers().values())


def verifier(settings: Settings) -> Verifier:
    """Return the verifier, which makes golden requests and checks answers on this machine."""
    from cloche.targets.local.verifier import LocalVerifier

    return LocalVerifier(settings, store(settings), server(), references())


# ── a place in a cluster ──────────────────────────────────────────────────────────────────────


def lease(cluster: Cluster, place: KubernetesPlace, service: str) -> Lease:
    """Return the right to act for a service there, which is asked for when it starts."""
    from cloche.state.kubernetes.lease import Lease

    return Lease(cluster, place.namespace, service)


def cluster_state(
    place: KubernetesPlace, cluster: Cluster, registry: Registry, settings: Settings
) -> KubernetesState:
    """Return the record of services and revisions of a namespace.

    `registry` is the one of the place; it keeps what is too large for the cluster.
    """
    from cloche.clients.oci import reference as references
    from cloche.state.kubernetes import KubernetesState
    from cloche.state.kubernetes.registry_documents import RegistryDocuments

    prefix = references.parse(f"{place.registry}/service").name.rpartition("/")[0]
    documents = RegistryDocuments(registry, prefix, settings.layout.documents)
    return KubernetesState(cluster, place.namespace, documents)


def cluster_journal(place: KubernetesPlace, cluster: Cluster) -> Journal:
    """Return the journal of events of a namespace."""
    from cloche.state.kubernetes import KubernetesJournal

    return KubernetesJournal(cluster, place.namespace)


def cluster_target(
    place: KubernetesPlace,
    cluster: Cluster,
    state: State,
    *,
    hold: Hold | None,
    read: Callable[[Deployment, str], bytes],
    has_image: Callable[[str], bool],
) -> KubernetesTarget:
    """Return the services of a namespace.

    `read` returns a body of a golden request, `has_image` whether a registry has an image.
    """
    from cloche.targets.kubernetes.objects import probes
    from cloche.targets.kubernetes.target import KubernetesTarget

    def probe_files(service: str, number: int) -> Mapping[str, bytes]:
        revision = state.revision(service, number)
        if revision is None:
            return {}
        return probes.content(revision.deployment, partial(read, revision.deployment))

    return KubernetesTarget(cluster, place.namespace, probe_files, hold=hold, has_image=has_image)
