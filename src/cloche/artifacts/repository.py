"""What a model becomes: the lock of its environment, and its repository with the reasons."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from cloche.artifacts.encoding import digest_of
from cloche.artifacts.model import FileEntry, Finding, TensorSpec


@dataclass(frozen=True, slots=True)
class BuiltWheel:
    """A package that exists only as source, built once; the wheel is in the store."""

    name: str
    version: str
    file: str
    """`annoy-1.17.3-cp311-cp311-linux_x86_64.whl`"""
    digest: str
    size: int
    """Bytes."""
    glibc: str | None = None
    """The oldest C library that it runs on; None for a wheel that runs anywhere."""
    reached: tuple[str, ...] = ()
    """What the kernel could not close to its build: `files` of the user, the `network`."""


@dataclass(frozen=True, slots=True)
class Lock:
    """A model's dependencies, resolved once: pinned, hashed lines and their Python version.

    `digest` is the digest of `python` and `text`, so it names the same environment everywhere.
    """

    digest: str
    python: str
    """`3.11`"""
    text: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Bytes of the largest file that a package may be installed from, by its name, where the index
    gives them."""
    findings: tuple[Finding, ...] = ()
    """What resolving them has to say. Neither they nor the sizes are part of the digest."""
    built: tuple[BuiltWheel, ...] = ()
    """Packages that no index has as a wheel; the text has the digests of these."""
    of: str = ""
    """The digest of what it was resolved from: requirements, Python, choice of PyTorch's build."""

    @property
    def names_itself(self) -> bool:
        """Return whether the digest is that of the Python and the text."""
        return self.digest == digest_of_lock(self.python, self.text)

    @property
    def packages(self) -> tuple[str, ...]:
        """Return the names of the packages, in the order of the text."""
        return tuple(re.findall(r"^[A-Za-z0-9][A-Za-z0-9._-]*", self.text, re.MULTILINE))


def digest_of_lock(python: str, text: str) -> str:
    """Return the digest of a lock."""
    return digest_of(f"python {python}\n{text}".encode())


class Origin(enum.StrEnum):
    """Where a generated value comes from."""

    MODEL = "model"
    SPEC = "spec"
    MEASURED = "measured"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one field of a generated configuration has its value."""

    field: str
    """Path of the field in ModelConfig, such as `dynamic_batching.max_queue_delay_microseconds`."""
    value: str
    origin: Origin
    why: str


ENVIRONMENT_PARAMETER = "EXECUTION_ENV_PATH"
"""The parameter of a model's configuration that names the environment of its code."""


@dataclass(frozen=True, slots=True)
class RepositoryMember:
    """One served model of a repository.

    `inputs` and `outputs` are what a client sends and gets; the batch axis is included as -1.
    """

    name: str
    """The model's name in the repository."""
    backend: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch_size: int
    lock_digest: str | None = None
    """Digest of the lock of its dependencies, if it has any."""
    sequence_idle: float | None = None
    """Seconds after which an idle sequence of requests ends; None if requests are independent."""
    decoupled: bool = False
    """Whether it answers a request with a stream of any number of answers."""

    @property
    def stateful(self) -> bool:
        """Return whether the requests of a sequence depend on each other."""
        return self.sequence_idle is not None


@dataclass(frozen=True, slots=True)
class ModelRepository:
    """A finished Triton model repository: the same bytes on a laptop, in an image, in a cluster."""

    service: str
    digest: str
    files: tuple[FileEntry, ...]
    members: tuple[RepositoryMember, ...]
    """The models of the service; the first answers for it."""
    others: tuple[str, ...] = ()
    """Names of models that only members call, such as the steps of an ensemble."""
    gpu_models: tuple[str, ...] = ()
    """Names of models whose configuration asks for a GPU: they load nowhere else."""
    server: str = "triton"
    """The kind of server that the repository is for."""
    reasons: tuple[Reason, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def main(self) -> RepositoryMember:
        """Return the member that answers for the service."""
        return self.members[0]

    @property
    def models(self) -> tuple[str, ...]:
        """Return the names of all models; the one that answers for the service is first."""
        return (*(member.name for member in self.members), *self.others)
