"""cloche.lock: what running a model told on one machine, for every other that has the file.

It lies beside cloche.yaml, to be committed with it: the lock of the model's environment, the facts
that a run gave (interface, batches, conversion or why not, parity in numbers), the digests of what
was made, and the golden request with its answer. An entry counts for exactly what it was made from:
the model's bytes, what cloche.yaml asks, the example, the version of Cloche.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cloche import artifacts, files
from cloche.artifacts import Deployment, Finding, Severity
from cloche.errors import ClocheError, UsageError
from cloche.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloche.artifacts import InferenceBody, ModelSnapshot
    from cloche.pipeline.making import Making
    from cloche.store import Store

NAME = "cloche.lock"
_SCHEMA = 1
_LARGEST_BODY = 2**20
"""Bytes of a request or an answer at most; where there are more, the model is asked again."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one service."""

    cloche: str
    """The version that made it."""
    deployment: Deployment
    target: str = ""
    """The place in a cluster that it was asked for; empty for this machine."""
    bodies: Mapping[str, str] = field(default_factory=dict)
    """Requests and answers in Base64, by their digest."""

    def give_bodies(self, store: Store) -> bool:
        """Put requests and answers into a store; return whether all are there."""
        for data in self.bodies.values():
            store.add_bytes(base64.b64decode(data))
        return all(store.use(body.digest) for body in _bodies(self.deployment))


@dataclass(frozen=True, slots=True)
class LockFile:
    """The entries of a folder, by service and by the digest of what each was made from."""

    schema: int = _SCHEMA
    services: Mapping[str, Mapping[str, Entry]] = field(default_factory=dict)

    def entry(self, service: str, key: str) -> Entry | None:
        """Return what is known of a service that is made from just this."""
        return self.services.get(service, {}).get(key)

    def outdated(self, service: str, key: str) -> bool:
        """Return whether it knows something of a service, which no longer holds."""
        return service in self.services and key not in self.services[service]


@dataclass(frozen=True, slots=True)
class _Header:
    schema: int = 0


def read(directory: Path) -> LockFile:
    """Return the lock file of a folder, empty without one. Raises UsageError `lock.file`."""
    path = directory / NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return LockFile()
    except OSError as error:
        raise _unreadable(path, f"it cannot be read ({error.strerror})") from error
    try:
        if artifacts.decode(_Header, data).schema != _SCHEMA:
            raise _unreadable(path, "another version of Cloche wrote it")
        return artifacts.decode(LockFile, data)
    except ValueError as error:
        raise _unreadable(path, str(error)) from error


def write(directory: Path, key: str, entry: Entry, store: Store) -> Path:
    """Write what is known of a service in place of what was; return the file's path.

    What is known of the same model at other targets stays. Raises ClocheError `lock.unwritable`.
    """
    import msgspec

    path = directory / NAME
    known = _known(directory)
    service, digest = entry.deployment.service, entry.deployment.main.snapshot.digest
    others = {
        its_key: each
        for its_key, each in known.services.get(service, {}).items()
        if each.cloche == entry.cloche
        and each.deployment.main.snapshot.digest == digest
        and each.target != entry.target
    }
    whole = replace(entry, bodies=dict(_encoded(entry.deployment, store)))
    services = {**known.services, service: {**others, key: whole}}
    data = msgspec.json.format(artifacts.encode(LockFile(_SCHEMA, services)), indent=1)
    try:
        files.write_atomically(path, data + b"\n")
    except OSError as error:
        what = f"The lock file cannot be written: {error.strerror}."
        raise ClocheError("lock.unwritable", what, where=str(path)) from error
    return path


@dataclass(frozen=True, slots=True)
class Known:
    """What a folder's lock file tells of one service."""

    entry: Entry | None
    """What was made from just the same; None where nothing is known of that."""
    outdated: bool
    store: Store

    @classmethod
    def of(cls, directory: Path, service: str, key: str, store: Store) -> Known:
        """Read what is known; locks of environments are then in the store.

        Raises UsageError `lock.file`.
        """
        from cloche import environments

        found = read(directory)
        for each in found.services.get(service, {}).values():
            for member in each.deployment.members:
                if member.lock is not None:
                    environments.adopt(member.lock, store)
        return cls(found.entry(service, key), found.outdated(service, key), store)

    @property
    def deployment(self) -> Deployment | None:
        """Return the deployment, whose files may be missing."""
        return self.entry.deployment if self.entry is not None else None

    def made_again(self, making: Making, snapshot: ModelSnapshot) -> Deployment | None:
        """Return the deployment with all its files; None where they cannot be had so.

        Nothing is asked: only what was converted is converted again.
        """
        if self.entry is None or not self.entry.give_bodies(self.store):
            return None
        return making.again(snapshot, self.entry.deployment)

    def findings(self, deployment: Deployment) -> tuple[Finding, ...]:
        """Return what is to be said of the file beside a deployment."""
        if self.outdated:
            return (_OUTDATED,)
        if self.entry is None:
            return ()
        named = self.entry.deployment.repository.digest
        return () if deployment.repository.digest == named else (_differs(deployment),)


_OUTDATED = Finding(
    Severity.NOTE,
    "lock.outdated",
    f"{NAME} knows this service from another model, cloche.yaml or version of Cloche.",
    hint="Write it anew: `cloche plan --lock`.",
)


def _differs(deployment: Deployment) -> Finding:
    digest = deployment.repository.digest
    what = f"The repository that was made here ({digest[:19]}) is not the one that {NAME} names."
    hint = "Write it anew: `cloche plan --lock`. The packages that made it were others."
    return Finding(Severity.WARNING, "lock.differs", what, hint=hint)


def _known(directory: Path) -> LockFile:
    """Return the entries that stay; a file that cannot be read is replaced."""
    try:
        return read(directory)
    except UsageError:
        return LockFile()


def entry_of(deployment: Deployment, model: str, target: str) -> Entry:
    """Return what is known of a deployment; `model` stands for where it lies on this machine."""
    return Entry(__version__, _anywhere(deployment, model), target)


def _anywhere(deployment: Deployment, shown: str) -> Deployment:
    pinned = deployment.main.snapshot.pinned
    text = artifacts.encode(replace(deployment, image=None, pod=None, pod_reasons=()))
    return artifacts.decode(
        Deployment, text.replace(artifacts.encode(pinned)[1:-1], artifacts.encode(shown)[1:-1])
    )


def _bodies(deployment: Deployment) -> Iterator[InferenceBody]:
    if deployment.example is not None:
        yield deployment.example
    if deployment.golden is not None:
        yield from deployment.golden.bodies()


def _encoded(deployment: Deployment, store: Store) -> Iterator[tuple[str, str]]:
    for body in _bodies(deployment):
        data = store.read(body.digest)
        if len(data) <= _LARGEST_BODY:
            yield body.digest, base64.b64encode(data).decode()


def _unreadable(path: Path, why: str) -> UsageError:
    return UsageError(
        "lock.file",
        f"{NAME} is none that this version of Cloche reads: {why}.",
        where=str(path),
        hint="Write it anew, `cloche plan --lock`, or remove it.",
    )
