"""What a run told of the model in an image, beside the image.

It was measured on some machine, so no digest of the image depends on it: an artefact whose subject
is the image holds it. Whoever may push beside an image may write one. So it is read as data from a
stranger: bounded, whole, and of no other model and no other conversion than the image itself names.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cloche.artifacts import (
    Finding,
    ModelSnapshot,
    Severity,
    Verdict,
    decode,
    encode,
)
from cloche.errors import ClocheError, UnavailableError
from cloche.images import golden, verdict_checks
from cloche.images.image import Attachment, SmallBlob

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cloche.artifacts import Deployment
    from cloche.images.image import Artifact
    from cloche.images.sources.reading import ReadImage

ARTIFACT = "application/vnd.cloche.verdict.v1+json"
"""The type of the artefact, and of the document in it: a `Verdict`."""
SCHEMA = 1
_LARGEST = 4 * 2**20
"""Bytes of a document at most; one of a model with a long lock has some hundred thousand."""
MOST = 16
"""Verdicts that are read of one image."""
_OF_THIS_MACHINE = ("lock.", "verdict.")
"""Codes of findings that compare what was made with what is known: the next one compares anew."""
_MODEL = "cloche:model"
"""What stands in a verdict for the place where the model lies."""


@dataclass(frozen=True, slots=True)
class Read:
    """The verdicts of an image that hold together, and what is to be said of the others."""

    verdicts: tuple[Verdict, ...]
    findings: tuple[Finding, ...]


def of(deployment: Deployment) -> Verdict | None:
    """Return what a run told of the model of a deployment; None where nothing says what was asked.

    It names no path of this machine.
    """
    member = deployment.main
    if not deployment.verdict or deployment.undetermined:
        return None
    said = (each for each in member.facts.findings if not each.code.startswith(_OF_THIS_MACHINE))
    found = Verdict(
        schema=SCHEMA,
        model=member.snapshot.digest,
        asked=deployment.verdict,
        facts=replace(member.facts, findings=tuple(map(_anywhere, said))),
        lock=member.lock,
        conversion=member.conversion,
        golden=deployment.golden and replace(deployment.golden, answer_from=None),
    )
    for where in (member.snapshot.pinned, member.snapshot.reference):
        found = _renamed(found, where, _MODEL) if "/" in where else found
    return found


def told_of(verdict: Verdict, snapshot: ModelSnapshot) -> Verdict:
    """Return a verdict in the words of where the model lies here."""
    return _renamed(verdict, _MODEL, snapshot.pinned)


def attachments(deployment: Deployment) -> tuple[Attachment, ...]:
    """Return the verdict on the model of a deployment, if there is one, as it goes with an image.

    Of what is measured the joined requests and the files count: numbers that differ in their last
    digits are no other verdict.
    """
    found = of(deployment)
    if found is None:
        return ()
    said = {
        "cloche.verdict.asked": found.asked,
        "cloche.verdict.batches": str(found.facts.batch.present).lower(),
        "cloche.verdict.converted": found.conversion.digest if found.conversion else "",
    }
    return (Attachment(ARTIFACT, (SmallBlob(encode(found), ARTIFACT),), said),)


def read(image: ReadImage, attached: Iterable[Artifact]) -> Read:
    """Return the verdicts beside an image; what does not hold together is a finding.

    Of several that answer the same, one that does not join requests counts. Raises UnavailableError
    `registry.…`.
    """
    verdicts: dict[str, Verdict] = {}
    findings = []
    of_type = [each for each in attached if each.artifact_type == ARTIFACT]
    for artifact in of_type[:MOST]:
        try:
            found = _checked(_document(artifact), golden.labels(image))
        except UnavailableError:
            raise
        except (ValueError, RecursionError, ClocheError) as error:
            why = error.what if isinstance(error, ClocheError) else str(error)
            findings.append(_unusable(artifact.descriptor.digest, why))
            continue
        known = verdicts.get(found.asked)
        if known is None or known.facts.batch.present:
            verdicts[found.asked] = found
    if len(of_type) > MOST:
        findings.append(_unusable(image.digest or "", f"there are more than {MOST}"))
    return Read(tuple(verdicts.values()), tuple(findings))


def described(verdict: Verdict) -> dict[str, Any]:
    """Return what a verdict says, for people and for JSON."""
    from cloche.artifacts import to_builtins

    facts, made = verdict.facts, verdict.conversion
    return {
        "model": verdict.model,
        "backend": facts.backend,
        "joins_requests": facts.batch.present,
        "why": facts.batch.why,
        "converter": made.converter if made else None,
        "parity": to_builtins(made.parity) if made else [],
        "requests": made.requests if made else 0,
    }


# ── what has to hold ──────────────────────────────────────────────────────────────────────────


def _document(artifact: Artifact) -> bytes:
    documents = [each for each in artifact.blobs if each.descriptor.media_type == ARTIFACT]
    if len(documents) != 1:
        raise ValueError(f"it has {len(documents)} documents")
    size = documents[0].descriptor.size
    if not 0 < size <= _LARGEST:
        raise ValueError(f"it has {size} bytes; {_LARGEST} are the most")
    return b"".join(documents[0].chunks())


@dataclass(frozen=True, slots=True)
class _Header:
    schema: int


def _checked(data: bytes, labels: Mapping[str, str]) -> Verdict:
    """Return a verdict that is whole, and of what the labels of the image name."""
    if decode(_Header, data).schema != SCHEMA:
        raise ValueError("another version of Cloche wrote it")
    found = decode(Verdict, data)
    if verdict_checks.hidden(data):
        raise ValueError("it has characters that no text has")
    for problem in verdict_checks.problems(found, labels):
        raise ValueError(problem)
    return found


def _unusable(where: str, why: str) -> Finding:
    return Finding(
        Severity.WARNING,
        "image.verdict",
        f"A verdict beside the image is not used: {why.rstrip('.')}.",
        where=where,
        hint="The image is what it is without it: a deploy of the model finds out the same.",
    )


def _anywhere(finding: Finding) -> Finding:
    """Return a finding without a path of this machine."""
    is_path = finding.where is not None and finding.where.startswith("/")
    return replace(finding, where=_MODEL) if is_path else finding


def _renamed(verdict: Verdict, before: str, after: str) -> Verdict:
    text, old, new = encode(verdict), encode(before)[1:-1], encode(after)[1:-1]
    with suppress(ValueError):  # a path that is also part of a number or a key
        return decode(Verdict, text.replace(old, new))
    return verdict
