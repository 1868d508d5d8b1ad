"""The names, labels and annotations of the objects that hold the state of a service.

The name of a service is a label of RFC 1123, so it has no dot: what stands behind a dot keeps these
names apart from those of any other service.
"""

from __future__ import annotations

import enum

MANAGED_BY = "app.kubernetes.io/managed-by"
NAME = "app.kubernetes.io/name"
SERVICE = "cloche.dev/service"
PART = "cloche.dev/part"
REVISION = "cloche.dev/revision"
SCHEMA = "cloche.dev/schema"
"""The annotation with the number of the form in which a ConfigMap is written."""
WRITE = "cloche.dev/write"
"""The annotation that is new with each write."""
CLOCHE = "cloche"


class Part(enum.StrEnum):
    """What an object holds of the state of a service."""

    RECORD = "record"
    HISTORY = "history"
    EVENTS = "events"
    REVISION = "revision"
    LEASE = "lease"


_SUFFIXES = {Part.HISTORY: ".history", Part.EVENTS: ".events"}


def object_name(service: str, part: Part) -> str:
    """Return the name of the one object of a service that holds a part."""
    return f"{CLOCHE}-{service}{_SUFFIXES.get(part, '')}"


def revision_name(service: str, number: int) -> str:
    """Return the name of the object of a revision."""
    return f"{CLOCHE}-{service}.r{number}"


def labels(service: str, part: Part) -> dict[str, str]:
    """Return the labels that say whose an object is."""
    return {MANAGED_BY: CLOCHE, NAME: service, SERVICE: service, PART: part.value}


def selector(part: Part, service: str | None = None) -> str:
    """Return the label selector for a part of one service or of all."""
    wanted = {MANAGED_BY: CLOCHE, PART: part.value, **({SERVICE: service} if service else {})}
    return ",".join(f"{key}={value}" for key, value in wanted.items())
