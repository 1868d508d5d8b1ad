"""What a deploy would change, as data."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict

from cloche.artifacts.model import Finding
from cloche.artifacts.repository import Reason


class ChangeKind(enum.StrEnum):
    """The kind of a deploy: that of its gravest change."""

    NONE = "none"
    SCALE = "scale"
    """Only how the service is operated changes: no new revision."""
    UPDATE = "update"
    """Another revision gets the traffic, or a rollout under way ends."""
    CREATE = "create"


@dataclass(frozen=True, slots=True)
class Change:
    """One value that a deploy changes; `before` is None if there was no value."""

    kind: ChangeKind
    field: str
    before: Any
    after: Any


class Undetermined(enum.StrEnum):
    """What only a run of the model tells, as the field of a plan that has it."""

    INTERFACE = "interface"
    """Its inputs and outputs."""
    BACKEND = "config.backend"
    """Whether it is converted to ONNX, or served as it is."""
    BATCHES = "config.max_batch_size"
    """Whether requests can be joined: rows of a batch may answer otherwise than alone."""
    REPOSITORY = "repository.digest"


AFTER_VERIFICATION = "known after verification"
"""The value of what is undetermined, in a plan."""


class Consent(enum.StrEnum):
    """What a deploy does only if the user said so."""

    REPLACE = "replace"
    """Another model takes the place of the one that a service serves."""
    INTERFACE = "interface"
    """Inputs, outputs or the backend are others than those of the live revision."""
    WEAKER = "weaker"
    """A weaker judge takes the place of that of the live revision."""
    NONFINITE = "nonfinite"
    """Values that are not finite are answered where the live revision's are finite."""
    TAKE_OVER = "take_over"
    """Fields of objects in a cluster that others have set are set otherwise."""

    @classmethod
    def given(cls, **said: bool) -> frozenset[Consent]:
        """Return what the options of a deploy say yes to, each by the value of its consent."""
        return frozenset(cls(name) for name, yes in said.items() if yes)


@dataclass(frozen=True, slots=True)
class Question:
    """Something that a deploy would do and that nobody has asked for yet."""

    consent: Consent
    what: str
    """What would happen, as sentences."""
    flag: str
    """The option of `cloche deploy` that says yes: `--replace`."""
    otherwise: str
    """What to do instead, as a sentence."""


@dataclass(frozen=True, slots=True)
class PlannedEnvironment:
    """What a model's environment is installed from."""

    lock: str
    """Digest of its lock."""
    python: str
    """`3.11`"""
    packages: int
    download: int | None
    """Bytes at most of all files whose size is known; None where none is."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Bytes at most of each package's file, by name, where the index gives them."""


class ObjectAction(enum.StrEnum):
    """What becomes of an object of a cluster."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    DRIFT = "drift"
    """Nothing: others changed what Cloche applied, and it stays so until that changes."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of an object; None where there is no value."""

    path: str
    """`spec.template.spec.containers[name="server"].image`"""
    before: Any
    after: Any
    """With `drift`, what Cloche applied."""
    owner: str | None = None
    """The field manager that has set it otherwise; a deploy takes it over only with a yes."""


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """One object of a cluster that a deploy changes, or that others have changed."""

    action: ObjectAction
    kind: str
    name: str
    fields: tuple[FieldChange, ...] = ()
    revision: int | None = None
    """The revision that it belongs to; None for an object of the service."""
    unasked: str | None = None
    """Why the cluster was not asked by a dry run: what is here is this client's own estimate."""


@dataclass(frozen=True, slots=True)
class DeployPlan:
    """All changes of a deploy, and the reasons for the generated values."""

    service: str
    kind: ChangeKind
    changes: tuple[Change, ...]
    reasons: tuple[Reason, ...]
    findings: tuple[Finding, ...]
    revision: int | None = None
    """The recorded revision that the deploy asks for; None if it makes a new one."""
    questions: tuple[Question, ...] = ()
    """What needs a yes; without it the deploy is refused before anything changes."""
    environments: tuple[PlannedEnvironment, ...] = ()
    """The environments of the models that have one."""
    objects: tuple[ObjectChange, ...] = ()
    """How the objects of a cluster differ from those that the deploy ends with."""
    undetermined: tuple[Undetermined, ...] = ()
    """What is known only once the model has run; a deploy runs it."""


class DeployAnswer(TypedDict):
    """The answer of a control plane to a deploy or a rollback."""

    change: str
    """`revision` (a rollout began or ended), `scaled`, or `none`."""
    revision: int
    """Number of the requested revision."""
    findings: NotRequired[tuple[Finding, ...]]
    """What the place where it runs has to say about it."""
