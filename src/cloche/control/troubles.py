"""Current errors by service and revision: shown in status, and once as an event."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cloche.artifacts import EventKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from cloche.control.records import Records
    from cloche.errors import ClocheError

_log = logging.getLogger(__name__)
WHOLE = 0
"""In place of a revision's number: an error of the whole service."""


class Troubles:
    """The current errors, each of one kind of work (`apply`, `verify`, `decide` …)."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._errors: dict[str, dict[tuple[int, str], ClocheError]] = {}
        """By service, then by revision and kind of work. The inner dicts are replaced and never
        changed, since the API reads them from threads of its own."""

    def of(self, service: str, number: int) -> ClocheError | None:
        """Return the gravest error of a revision or its service: one that is not retriable."""
        errors = self._errors.get(service, {})
        concerned = [key for key in errors if key[0] in {number, WHOLE}]
        gravest = min(
            concerned, key=lambda key: (errors[key].retriable, key[0] == WHOLE), default=None
        )
        return None if gravest is None else errors[gravest]

    def has(self, service: str, kind: str) -> bool:
        """Return whether a service has an error of a kind of work."""
        return any(key[1] == kind for key in self._errors.get(service, {}))

    def note(self, service: str, number: int, kind: str, error: ClocheError | None) -> None:
        """Replace the error of a kind of work; None if the work succeeded."""
        errors = self._errors.get(service, {})
        before = errors.get((number, kind))
        if error is None:
            self._keep(service, lambda key: key != (number, kind))
            return
        self._errors[service] = {**errors, (number, kind): error}
        if before is None or before.to_dict() != error.to_dict():
            _log.warning("%s r%d: %s: %s", service, number, error.code, error.what)
            revision = number if number != WHOLE else None
            detail = {"error": error.to_dict()}
            self._records.tell(
                service, EventKind.TROUBLE, error.what, revision=revision, detail=detail
            )

    def clear(self, service: str, kind: str) -> None:
        """Forget the errors of a kind of work for the whole service."""
        self._keep(service, lambda key: key[1] != kind)

    def forget(self, service: str, number: int) -> None:
        """Forget the errors of a revision, which is tried again."""
        self._keep(service, lambda key: key[0] != number)

    def prune(self, services: Collection[str]) -> None:
        """Forget services that are gone."""
        self._errors = {name: errors for name, errors in self._errors.items() if name in services}

    def _keep(self, service: str, wanted: Callable[[tuple[int, str]], bool]) -> None:
        errors = self._errors.get(service, {})
        kept = {key: error for key, error in errors.items() if wanted(key)}
        if kept:
            self._errors[service] = kept
        else:
            self._errors.pop(service, None)
