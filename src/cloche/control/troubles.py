"""Current errors by service and revision: shown in status, and once as an event."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cloche.artifacts import EventKind

if TYPE_CHECKING:
    from collections.abc import Collection

    from cloche.control.records import Records
    from cloche.errors import ClocheError

_log = logging.getLogger(__name__)
WHOLE = 0
"""In place of a revision's number: an error of the whole service."""


class Troubles:
    """The current errors, each of one kind of work (`apply`, `golden`, `decide` …)."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._errors: dict[tuple[str, int], dict[str, ClocheError]] = {}

    def of(self, service: str, number: int) -> ClocheError | None:
        """Return the gravest error of a revision or its service: one that is not retriable."""
        errors = [
            *self._errors.get((service, number), {}).values(),
            *self._errors.get((service, WHOLE), {}).values(),
        ]
        return min(errors, key=lambda error: error.retriable, default=None)

    def has(self, service: str, kind: str) -> bool:
        """Return whether a service has an error of a kind of work."""
        return any(kind in errors for key, errors in self._errors.items() if key[0] == service)

    def note(self, service: str, number: int, kind: str, error: ClocheError | None) -> None:
        """Replace the error of a kind of work; None if the work succeeded."""
        errors = self._errors.setdefault((service, number), {})
        before = errors.pop(kind, None)
        if error is None:
            return
        errors[kind] = error
        if before is None or before.to_dict() != error.to_dict():
            _log.warning("%s r%d: %s: %s", service, number, error.code, error.what)
            revision = number if number != WHOLE else None
            detail = {"error": error.to_dict()}
            self._records.tell(
                service, EventKind.TROUBLE, error.what, revision=revision, detail=detail
            )

    def clear(self, service: str, kind: str) -> None:
        """Forget the errors of a kind of work for the whole service."""
        for key, errors in self._errors.items():
            if key[0] == service:
                errors.pop(kind, None)

    def forget(self, service: str, number: int) -> None:
        """Forget the errors of a revision, which is tried again."""
        self._errors.pop((service, number), None)

    def prune(self, services: Collection[str]) -> None:
        """Forget services that are gone."""
        self._errors = {key: errors for key, errors in self._errors.items() if key[0] in services}
