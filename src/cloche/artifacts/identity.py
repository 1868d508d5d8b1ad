"""Which model a snapshot is a version of: what stays the same from one training to the next.

A registered model is its name in its registry, whatever the version or alias. A model that a run
logged is its path in the experiment of the run, since each training makes a new run; the same path
in another experiment (`model`, by habit) is another model. A logged model of MLflow 3 without a
registered name is itself alone. A repository of the Hugging Face Hub is its name on its hub,
whatever the revision, and so is a path in it. A file is its absolute path: one that was moved is
another.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloche.artifacts.model import ModelSnapshot

_RUN = re.compile(r"runs:/+[^/]+/+(.+?)/*", re.IGNORECASE)
_REPOSITORY = re.compile(r"hf://([^@]+)@[^/]+(/.+)?")
_REGISTERED = re.compile(r"models:/([^/]+)/[^/]+")


def identity(snapshot: ModelSnapshot) -> tuple[str, ...]:
    """Return the identity of a snapshot's model; equal identities are versions of one model."""
    if snapshot.registry is None:
        return (snapshot.source, posixpath.normpath(snapshot.pinned))
    kept_by = (snapshot.source, snapshot.registry)
    if logged := _RUN.fullmatch(snapshot.reference.strip()):
        return (*kept_by, "run", snapshot.metadata.experiment_id or "", logged[1])
    if registered := _REGISTERED.fullmatch(snapshot.pinned):
        return (*kept_by, "registered", registered[1])
    if repository := _REPOSITORY.fullmatch(snapshot.pinned):
        return (*kept_by, "repository", repository[1] + (repository[2] or ""))
    return (*kept_by, "logged", snapshot.pinned)


def are_versions_of_one(one: ModelSnapshot, other: ModelSnapshot) -> bool:
    """Return whether two snapshots are versions of one model, or the same bytes."""
    return one.digest == other.digest or identity(one) == identity(other)


def registered_name(snapshot: ModelSnapshot) -> str | None:
    """Return the name that a registry calls a model; None if it is not a registered one."""
    registered = _REGISTERED.fullmatch(snapshot.pinned)
    if snapshot.registry is None or registered is None or _RUN.match(snapshot.reference.strip()):
        return None
    return registered[1]


def described(snapshot: ModelSnapshot) -> str:
    """Return what a snapshot is for people: `models:/digits/3 of http://registry:5000`."""
    written = snapshot.reference.strip()
    name = written if _RUN.fullmatch(written) else snapshot.pinned
    return name if snapshot.registry is None else f"{name} of {snapshot.registry}"
