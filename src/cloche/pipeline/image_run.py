"""An image in the Docker or Podman at hand: started, asked its golden request, and removed."""

from __future__ import annotations

import secrets
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.artifacts.container import SHARED_MEMORY
from cloche.clients.engine.options import LOOPBACK, hardened, published
from cloche.errors import ClocheError, UnavailableError
from cloche.images import golden
from cloche.pipeline import image as images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cloche.artifacts import Verification
    from cloche.clients.engine.engine import Engine
    from cloche.images.golden import Carried
    from cloche.images.sources.reading import ReadImage
    from cloche.pipeline.image import Registries
    from cloche.progress import Progress, Task
    from cloche.store import Store

HTTP, GRPC = 8000, 8001
"""Triton's ports in the container."""
_LOG_LINES = 30
_PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class Subject:
    """An image to be run, and how the engine gets it."""

    image: ReadImage
    carried: Carried | None
    name: str
    """What the engine calls it."""
    fetched: bool
    """Whether the engine pulls it from a registry; else it is loaded."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of it."""

    verification: Verification
    digest: str | None
    model: str
    container: str | None
    """One that goes on running; None where it was removed."""
    loaded: str | None
    """What the engine calls an image that was loaded or pulled for it, and stays."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How an image is run: on which port of loopback (0: a free one), and for how long at most."""

    port: int = 0
    limit: float = 600.0
    """Seconds until it has to be ready."""
    keep: bool = False
    """Whether a container whose answer was right goes on running."""


def subject(text: str, engine: Engine, connections: Registries, store: Store) -> Subject:
    """Return the image of a path or a reference for an engine, with its golden request.

    Of a registry its manifests and the golden request are read. Raises ClocheError `image.…`,
    `registry.…`, and `image.run.foreign` for an image that Cloche did not make.
    """
    found = _found(text, engine, connections, store)
    if found.carried is None and "cloche.service" not in golden.labels(found.image):
        raise ClocheError(
            "image.run.foreign",
            "The image was not made by Cloche: nothing says what it serves, and how to ask it.",
            where=text,
            hint="Name one that `cloche image build` made.",
        )
    return found


def _found(text: str, engine: Engine, connections: Registries, store: Store) -> Subject:
    from cloche.images import addresses, platforms
    from cloche.images.sources import reading, remote

    image = images.read_image(text, platforms.parse(engine.platform), connections)
    address, digest = addresses.parse(text), image.digest
    if isinstance(address, addresses.LocalAddress):
        attached = reading.attached(address.path, digest, golden.ARTIFACT) if digest else ()
        name = f"localhost/cloche-run:{secrets.token_hex(6)}"
        return Subject(image, golden.read(image, attached, store), name, fetched=False)
    assert digest is not None  # noqa: S101 - a registry's manifest has one
    registry = connections.at(address.host)
    attached = remote.attached(registry, address.name, digest, golden.ARTIFACT)
    name = f"{address.host}/{address.name}@{digest}"
    return Subject(image, golden.read(image, attached, store), name, fetched=True)


def run(
    tried: Subject,
    engine: Engine,
    trial: Trial,
    *,
    store: Store,
    progress: Progress,
    log: Callable[[str], None],
) -> Ran:
    """Run an image on loopback, ask it its golden request, and remove what was made for it.

    `log` is told the container's last lines if its answer is not right, or it gives none. Raises
    ClocheError `engine.…`, and `image.run.…` for a container that does not get ready.
    """
    if trial.port:
        require_free(trial.port)
    container = f"cloche-run-{secrets.token_hex(6)}"
    with ExitStack() as stack:
        had = engine.image(tried.name) is not None
        if not had:
            stack.callback(engine.remove_image, tried.name)
            _fetch(tried, engine, progress)
        stack.callback(engine.remove, container)
        engine.create(container, options(tried.image, trial.port), tried.name)
        try:
            verification = _asked(tried, engine, container, trial, store, progress)
        except ClocheError:
            log(engine.logs(container, _LOG_LINES))
            raise
        if not verification.passed:
            log(engine.logs(container, _LOG_LINES))
        kept = trial.keep and verification.passed
        if kept:
            stack.pop_all()
    assert tried.carried is not None  # noqa: S101 - it was asked
    return Ran(
        verification,
        tried.image.digest,
        tried.carried.model.name,
        container if kept else None,
        tried.name if kept and not had else None,
    )


def require_free(port: int) -> None:
    """Raise UnavailableError `image.run.port` if something listens on a port of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise UnavailableError(
                "image.run.port",
                f"The port cannot be used: {error.strerror}.",
                where=f"{LOOPBACK}:{port}",
                hint="Name another one with --port, or leave it out: a free one is chosen.",
            ) from error


def options(image: ReadImage, port: int) -> tuple[str, ...]:
    """Return how a container of an image is made."""
    return (
        *published(port, HTTP),
        *published(0, GRPC),
        *hardened(shared_memory(image)),
    )


def shared_memory(image: ReadImage) -> int:
    """Return the bytes of /dev/shm that the server of an image needs."""
    environment = (image.config.get("config") or {}).get("Env") or []
    needed = dict(entry.partition("=")[::2] for entry in environment).get(SHARED_MEMORY, "")
    return int(needed) if needed.isdecimal() else 0


def _fetch(tried: Subject, engine: Engine, progress: Progress) -> None:
    if tried.fetched:
        with progress.task(f"Pulling {tried.name} into {engine.kind}"):
            engine.pull(tried.name)
        return
    load(tried.image, tried.name, engine, progress)


def load(image: ReadImage, name: str, engine: Engine, progress: Progress) -> None:
    """Load an image into an engine under a name; raises ClocheError `engine.load`."""
    from cloche.images.destinations import loading

    size = sum(layer.descriptor.size for layer in image.layers)
    with progress.task(f"Loading the image into {engine.kind}", size) as task:
        engine.load(_told(loading.stream(image, name), task))


def _told(chunks: Iterable[bytes], task: Task) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        task.advance(len(chunk))


def _asked(  # noqa: PLR0917 - what is run, and by what
    tried: Subject, engine: Engine, container: str, trial: Trial, store: Store, progress: Progress
) -> Verification:
    from cloche.verification import replay

    engine.start(container)
    model = tried.carried.model.name if tried.carried else None
    with progress.task("Starting the container"):
        address = wait_until_ready(engine, container, model, trial.limit)
    if tried.carried is None:
        raise ClocheError(
            "golden.missing",
            "The image starts and gets ready, but it brings no golden request to be verified by.",
            where=tried.image.name or tried.name,
            hint="Build it without --no-golden, by this version of Cloche.",
        )
    return replay.verify(
        tried.carried.golden,
        f"http://{address}",
        grpc=engine.address(container, GRPC),
        model=tried.carried.model,
        store=store,
    )


def wait_until_ready(
    engine: Engine,
    container: str,
    model: str | None,
    limit: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Return `127.0.0.1:PORT` of a container whose server, and its model, are ready.

    Raises ClocheError `image.run.ended`, `engine.network`, and UnavailableError `image.run.late`.
    """
    from cloche.clients.kserve.client import InferenceClient

    deadline = clock() + limit
    while True:
        address = _address(engine, container)
        with InferenceClient(f"http://{address}", timeout=5) as client:
            if client.ready() and (model is None or client.ready(model)):
                return address
        if clock() >= deadline:
            raise UnavailableError(
                "image.run.late",
                f"The container was not ready within {limit:g} seconds.",
                where=container,
                hint="Give it more time with --timeout.",
            )
        sleep(_PAUSE)


def _address(engine: Engine, container: str) -> str:
    address = engine.address(container, HTTP)
    state = engine.state(container)
    if not state.running:
        words = engine.logs(container, 1)
        raise ClocheError(
            "image.run.ended",
            f"The container ended with status {state.status} before it was ready"
            + (f": {words}" if words else "."),
            where=container,
            hint="Its last lines say why.",
        )
    if address is None:
        raise engine.no_network(container)
    return address
