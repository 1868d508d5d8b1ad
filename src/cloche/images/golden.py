"""The golden request in an image, and its answers beside it.

The request follows from the model, so it is a layer: files under `/cloche/golden`, with an index
that says how each is sent. What is right and by how much an answer may differ is measured on some
machine; an artefact whose subject is the image holds that, and no digest of the image depends on
it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche.artifacts import (
    Finding,
    Golden,
    InferenceBody,
    Judge,
    RepositoryMember,
    RequestOrigin,
    Severity,
    decode,
    encode,
)
from cloche.images import golden_files
from cloche.images.image import Attachment, SmallBlob
from cloche.images.layering.layers import LayerFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cloche.artifacts import Deployment
    from cloche.images.image import Artifact, Blob
    from cloche.images.sources.reading import ReadImage
    from cloche.store import Store

FOLDER = "cloche/golden"
INDEX = f"{FOLDER}/index.json"
LAYER = "cloche.golden.layer"
"""The annotation and label with the diff_id of the layer. Engines compress layers anew, and drop
annotations on them; labels and diff_ids stay."""
ARTIFACT = "application/vnd.cloche.golden.v1+json"
"""The type of the artefact, and of the document in it: a `Golden`."""
BINARY = "application/octet-stream"
_JSON = "application/json"
_TITLE = "org.opencontainers.image.title"


@dataclass(frozen=True, slots=True)
class RequestFile:
    """One request, as it is sent."""

    file: str
    """From the folder of the index on."""
    digest: str
    content_type: str
    header_length: int | None
    """The value of `Inference-Header-Content-Length`; None without that header."""


@dataclass(frozen=True, slots=True)
class GoldenRequest:
    """The requests of one model; where several are, one after the other until one is accepted."""

    model: RepositoryMember
    method: str
    """`infer` over HTTP, `stream` (ModelStreamInfer) over gRPC."""
    origin: RequestOrigin
    refused: bool
    """Whether the model refuses them all: no request is known that it accepts."""
    requests: tuple[RequestFile, ...]


@dataclass(frozen=True, slots=True)
class GoldenIndex:
    """The golden requests of an image; the first is that of the service."""

    models: tuple[GoldenRequest, ...]


@dataclass(frozen=True, slots=True)
class Carried:
    """What an image brings to be verified by."""

    model: RepositoryMember
    golden: Golden
    answered: bool
    """Whether its answers came with it; without them types and shapes are judged."""


def layer_files(deployment: Deployment, store: Store) -> tuple[LayerFile, ...]:
    """Return the files of the layer, which are then in the store; none without a request."""
    if deployment.golden is None:
        return ()
    model, asked = deployment.repository.main, deployment.golden
    names = {f"{model.name}/{number}": body for number, body in enumerate(asked.requests, 1)}
    method = "stream" if model.decoupled else "infer"
    requests = tuple(
        RequestFile(name, body.digest, content_type(body), body.header_length)
        for name, body in names.items()
    )
    refused = asked.judge is Judge.NONE
    index = encode(GoldenIndex((GoldenRequest(model, method, asked.origin, refused, requests),)))
    return (
        LayerFile(INDEX, len(index), store.add_bytes(index)),
        *(
            LayerFile(f"{FOLDER}/{name}", len(store.read(body.digest)), body.digest)
            for name, body in names.items()
        ),
    )


def answers(golden: Golden, store: Store) -> Attachment:
    """Return what judges the answer of a golden request; where it came from stays here."""
    document = encode(replace(golden, answer_from=None))
    blobs = [SmallBlob(document, ARTIFACT, {_TITLE: "golden.json"})]
    if golden.expected is not None:
        data, kind = store.read(golden.expected.digest), content_type(golden.expected)
        blobs.append(SmallBlob(data, kind, {_TITLE: "expected"}))
    said = {"cloche.golden.judge": str(golden.judge)}
    if golden.expected is not None:
        said["cloche.golden.answer"] = golden.expected.digest
    return Attachment(ARTIFACT, tuple(blobs), said)


def content_type(body: InferenceBody) -> str:
    """Return the media type of a request or an answer."""
    return _JSON if body.header_length is None else BINARY


def read(image: ReadImage, attached: Iterable[Artifact], store: Store) -> Carried | None:
    """Return the golden request of an image, with its bodies in the store; None without one.

    `attached` has the artefacts of the image; of several answers that of the strongest judge
    counts. Of the layers that with the request alone is read. Raises ClocheError `image.golden`
    for a request that does not hold together.
    """
    layer = _layer(image)
    if layer is None:
        return None
    where = image.name or image.digest
    files = golden_files.read(layer, where)
    try:
        asked = decode(GoldenIndex, files[INDEX]).models[0]
        sent = [(file, files[f"{FOLDER}/{file.file}"]) for file in asked.requests]
    except (KeyError, IndexError, ValueError) as error:
        raise golden_files.broken(where, f"its index lacks {error}") from error
    requests = tuple(InferenceBody(store.add_bytes(d), file.header_length) for file, d in sent)
    known = [each for each in _answers(attached, where, store) if each.requests == requests]
    if known:
        strongest = min(known, key=lambda each: list(Judge).index(each.judge))
        return Carried(asked.model, strongest, answered=True)
    judge = Judge.NONE if asked.refused else Judge.SMOKE
    bare = Golden(asked.origin, judge, requests, why="No answers are kept with the image.")
    return Carried(asked.model, bare, answered=False)


def labels(image: ReadImage) -> dict[str, str]:
    """Return what an image says of itself, by labels, which engines keep, and annotations."""
    return {
        **image.annotations, **((image.config.get("config") or {}).get("Labels") or {}),
    }  # fmt: skip


def _layer(image: ReadImage) -> Blob | None:
    """Return the layer that a label names."""
    wanted = labels(image).get(LAYER)
    layers = dict(zip(image.config["rootfs"]["diff_ids"], image.layers, strict=True))
    return layers.get(wanted)


def _answers(
    attached: Iterable[Artifact], where: str | None, store: Store
) -> Iterator[Golden]:  # fmt: skip
    for artifact in attached:
        if artifact.artifact_type != ARTIFACT:
            continue
        blobs = {blob.descriptor.digest: blob for blob in artifact.blobs}
        try:
            (document,) = [b for b in artifact.blobs if b.descriptor.media_type == ARTIFACT]
            found = decode(Golden, golden_files.whole(document, where))
            if found.expected is not None:
                store.add_bytes(golden_files.whole(blobs[found.expected.digest], where))
        except (KeyError, ValueError) as error:
            raise golden_files.broken(where, f"its answers lack {error}") from error
        yield replace(found, answer_from=None)  # that is for whoever reads it to say


def findings(deployment: Deployment) -> tuple[Finding, ...]:
    """Return what is to be said of data that travel in the image."""
    golden = deployment.golden
    if golden is None or golden.origin is not RequestOrigin.GIVEN:
        return ()
    return (
        Finding(
            Severity.NOTE,
            "image.example",
            "Your example is the golden request, so its values are in the image and their answer"
            " beside it.",
            hint="`cloche image build --no-golden` leaves both out.",
        ),
    )
