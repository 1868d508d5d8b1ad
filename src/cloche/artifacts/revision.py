"""What is served: a deployment, and the numbered revision that it becomes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cloche.artifacts.adoption import Adopted
from cloche.artifacts.container import TF32_OVERRIDE
from cloche.artifacts.conversion import Conversion
from cloche.artifacts.encoding import digest_of, encode
from cloche.artifacts.model import Finding, ModelFacts, ModelSnapshot, Severity
from cloche.artifacts.plan import Undetermined
from cloche.artifacts.repository import Lock, ModelRepository, Reason
from cloche.artifacts.service import Operated, Served, asked_for
from cloche.artifacts.verification import Golden, InferenceBody, Verification

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Member:
    """One model of a service: its files, facts and dependencies."""

    name: str
    """The model's name in the repository."""
    snapshot: ModelSnapshot
    facts: ModelFacts
    lock: Lock | None = None
    conversion: Conversion | None = None
    """The converted model; None if the snapshot is served unconverted."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a deploy sends to the control plane: all of it resolved, built and in the store."""

    service: str
    members: tuple[Member, ...]
    """The models of the service; the first answers for it."""
    repository: ModelRepository
    served: Served = field(default_factory=Served)
    operated: Operated = field(default_factory=Operated)
    example: InferenceBody | None = None
    """The example request of the spec, in the model's shapes."""
    golden: Golden | None = None
    """Its golden request; measured, so no part of the digest."""
    name_is_derived: bool = False
    """Whether the service's name comes from the model's reference: nobody wrote it."""
    image: str | None = None
    """Its image in a registry, `HOST/NAME@sha256:…`, where replicas are pods."""
    pod: dict[str, Any] | None = None
    """The template of those pods, rendered once."""
    pod_reasons: tuple[Reason, ...] = ()
    """Why the template is as it is."""
    adopted: Adopted | None = None
    """The Deployment that it is, where it was made by hand: then its model's digest is unknown."""
    undetermined: tuple[Undetermined, ...] = ()
    """What only a run of the model tells. With any of it a deployment can be planned, not run."""
    verdict: str = ""
    """The digest of what its model was asked in a run; empty where that is not known."""

    @property
    def main(self) -> Member:
        """Return the member that answers for the service."""
        return self.members[0]

    @property
    def digest(self) -> str:
        """Return the digest of the revision; a deploy with the live digest changes nothing."""
        members = [
            [
                member.snapshot.digest,
                member.lock.digest if member.lock else None,
                member.conversion.digest if member.conversion else None,
            ]
            for member in self.members
        ]
        example = self.example.digest if self.example else None
        parts: list[Any] = [members, asked_for(self.served), self.repository.digest, example]
        if self.pod is not None:
            parts += [self.image, self.pod]
        if self.adopted is not None:
            parts.append(asked_for(self.adopted))
        return digest_of(encode(parts))

    @property
    def tf32(self) -> bool:
        """Return whether its server may multiply in TF32: it has a GPU, and nothing forbids it."""
        if self.served.resources.gpu is None or self.pod is None:
            return False
        containers = self.pod["spec"]["containers"]
        given = [entry for each in containers for entry in each.get("env") or ()]
        return {"name": TF32_OVERRIDE, "value": "0"} not in given

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Return the reasons of all generated values."""
        return self.repository.reasons + self.pod_reasons

    @property
    def installed_locks(self) -> tuple[Lock, ...]:
        """Return the locks of the environments that models run in, each once.

        A lock that only converted a model is not among them.
        """
        installed = {member.lock_digest for member in self.repository.members}
        locks = (member.lock for member in self.members)
        return tuple({
            lock.digest: lock for lock in locks if lock is not None and lock.digest in installed
        }.values())  # fmt: skip

    @property
    def made_locks(self) -> tuple[Lock, ...]:
        """Return the locks of the environments that a deploy makes: to serve, convert and ask."""
        if self.golden is not None and self.golden.answer_from is not None:
            return self.installed_locks
        return tuple(member.lock for member in self.members if member.lock is not None)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return what inspection, a run of the model, its lock and its repository have to say."""
        made, found = self.made_locks, list[Finding]()
        for member in self.members:
            found += member.facts.findings
            found += member.lock.findings if member.lock in made else ()
        return tuple(dict.fromkeys((*found, *self.repository.findings)))

    def warnings(self) -> tuple[Finding, ...]:
        """Return the findings that are warnings."""
        return tuple(each for each in self.findings if each.severity is Severity.WARNING)

    def bytes_needed(self) -> Iterator[tuple[str, int]]:
        """Yield the digest and size in bytes of each file needed to serve the deployment again."""
        for member in self.members:
            for file in member.snapshot.files:
                yield file.digest, file.size
        for file in self.repository.files:
            yield file.digest, file.size


@dataclass(frozen=True, slots=True)
class Revision:
    """An immutable, numbered state of what a service serves.

    `digest` covers the members (model, lock, conversion), the served part of the spec, the
    repository and the example. Later findings are attached beside it (`Attached`); a move of the
    traffic to it is a `Rollout`.
    """

    service: str
    number: int
    digest: str
    deployment: Deployment
    created_at: str
    """UTC, ISO 8601."""
    by: str = ""
    """Who asked for it, as `user@host`."""


@dataclass(frozen=True, slots=True)
class Attached:
    """The latest attachment of each kind of a revision; attachments are only added."""

    verification: Verification | None = None
    image: str | None = None
    """Digest of its OCI image."""
