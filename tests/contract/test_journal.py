"""What every `Journal` promises; a new implementation joins `KINDS`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloche.artifacts import Event, EventKind
from cloche.errors import UsageError
from cloche.state import Journal
from cloche.state.kubernetes import KubernetesJournal
from cloche.state.sqlite import SqliteJournal
from cloche.testing import START, MemoryJournal

Open = Callable[[], Journal]


def sqlite(request: pytest.FixtureRequest) -> Open:
    folder: Path = request.getfixturevalue("tmp_path")
    return lambda: SqliteJournal(folder / "state.db")


def memory(request: pytest.FixtureRequest) -> Open:
    journal = MemoryJournal()
    return lambda: journal


def kubernetes(request: pytest.FixtureRequest) -> Open:
    cluster, namespace = map(request.getfixturevalue, ("api_cluster", "api_namespace"))
    return lambda: KubernetesJournal(cluster, namespace)


KINDS = {"sqlite": sqlite, "memory": memory, "kubernetes": kubernetes}


@pytest.fixture(params=KINDS)
def opened(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Return what opens the same journal again, as another process would."""
    journals: list[Journal] = []
    opening = KINDS[request.param](request)

    def open_again() -> Journal:
        journals.append(opening())
        return journals[-1]

    yield open_again
    for journal in journals:
        journal.close()


@pytest.fixture
def journal(opened: Open) -> Journal:
    return opened()


def event(what: str, service: str = "digits", revision: int | None = 1) -> Event:
    detail = {"restarts": 2, "why": {"code": "x"}}
    return Event(START.isoformat(), service, revision, EventKind.REPLICA, what, "me@here", detail)


def said(events: tuple[Event, ...]) -> list[str]:
    return [one.what for one in events]


def test_events_come_back_in_order_as_they_were(journal: Journal) -> None:
    assert journal.read() == ()
    journal.append([event("one"), event("two", revision=None)])
    journal.append([event("three", "other")])
    journal.append([])
    events = journal.read()
    assert [replace(one, cursor="") for one in events] == [
        event("one"), event("two", revision=None), event("three", "other"),
    ]  # fmt: skip
    assert said(journal.read("digits")) == ["one", "two"]
    assert said(journal.read("nothing")) == []


def test_reading_goes_on_after_a_cursor(journal: Journal) -> None:
    journal.append(event(str(number), "a" if number % 2 else "b") for number in range(10))
    first = journal.read(limit=4)
    assert said(first) == ["0", "1", "2", "3"]
    assert said(journal.read(after=first[-1].cursor)) == ["4", "5", "6", "7", "8", "9"]
    assert said(journal.read("a", after=first[-1].cursor, limit=2)) == ["5", "7"]
    last = journal.read()[-1].cursor
    assert journal.read(after=last) == ()
    journal.append([event("more")])
    assert said(journal.read(after=last)) == ["more"]


def test_what_is_no_cursor_is_refused(journal: Journal) -> None:
    with pytest.raises(UsageError) as caught:
        journal.read(after="yesterday")
    assert caught.value.code == "events.cursor"
    assert caught.value.hint


def test_another_process_sees_the_same(opened: Open) -> None:
    first, second = opened(), opened()
    first.append([event("one")])
    assert second.read() == first.read()
    second.append([event("two")])
    assert said(first.read()) == ["one", "two"]


def test_events_from_several_threads_are_all_there_once(journal: Journal) -> None:
    def work(index: int) -> None:
        for number in range(10):
            journal.append([event(f"{index}.{number}")])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    events = journal.read()
    assert sorted(said(events)) == sorted(f"{i}.{n}" for i in range(4) for n in range(10))
    assert len({one.cursor for one in events}) == 40
