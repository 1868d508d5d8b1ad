"""Current errors are kept by service, revision and kind of work, and told of once."""

from __future__ import annotations

import pytest

from cloche.artifacts import EventKind
from cloche.control.records import Records
from cloche.control.troubles import WHOLE, Troubles
from cloche.errors import ClocheError, UnavailableError
from cloche.testing import MemoryJournal, MemoryState

LASTING = ClocheError("model.broken", "It does not load.")
PASSING = UnavailableError("registry.away", "It does not answer.")


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


@pytest.fixture
def troubles(journal: MemoryJournal) -> Troubles:
    return Troubles(Records(MemoryState(), journal))


def test_the_error_that_does_not_pass_is_shown_first(troubles: Troubles) -> None:
    troubles.note("demo", 1, "verify", PASSING)
    assert troubles.of("demo", 1) == PASSING
    troubles.note("demo", WHOLE, "decide", LASTING)
    assert troubles.of("demo", 1) == LASTING
    assert troubles.of("demo", 2) == LASTING
    assert troubles.of("other", 1) is None


def test_work_that_succeeds_ends_the_error_of_its_kind_alone(troubles: Troubles) -> None:
    troubles.note("demo", 1, "verify", PASSING)
    troubles.note("demo", 1, "apply", LASTING)
    troubles.note("demo", 1, "apply", None)
    assert troubles.of("demo", 1) == PASSING
    assert troubles.has("demo", "verify")
    assert not troubles.has("demo", "apply")


def test_errors_are_forgotten_by_kind_by_revision_and_by_service(troubles: Troubles) -> None:
    for number in (WHOLE, 1, 2):
        troubles.note("demo", number, "apply", PASSING)
        troubles.note("demo", number, "verify", PASSING)
    troubles.clear("demo", "apply")
    assert not troubles.has("demo", "apply")
    troubles.forget("demo", WHOLE)
    troubles.forget("demo", 1)
    assert troubles.of("demo", 1) is None
    assert troubles.of("demo", 2) == PASSING
    troubles.prune({"other"})
    assert troubles.of("demo", 2) is None


def test_an_error_is_one_event_until_it_changes(troubles: Troubles, journal: MemoryJournal) -> None:
    for error in (PASSING, PASSING, LASTING, PASSING):
        troubles.note("demo", 1, "verify", error)
    events = journal.read()
    assert [event.kind for event in events] == [EventKind.TROUBLE] * 3
    assert [event.detail["error"]["code"] for event in events] == [
        "registry.away", "model.broken", "registry.away",
    ]  # fmt: skip
