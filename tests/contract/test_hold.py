"""What every `Hold` promises; a new implementation joins `KINDS`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from cloche.state import AlwaysHeld, Hold
from cloche.state.kubernetes import Lease
from cloche.testing import MemoryHold

Take = Callable[[], Hold]


def always(request: pytest.FixtureRequest) -> Take:
    return AlwaysHeld


def memory(request: pytest.FixtureRequest) -> Take:
    return lambda: MemoryHold("digits")


def lease(request: pytest.FixtureRequest) -> Take:
    cluster, namespace = map(request.getfixturevalue, ("api_cluster", "api_namespace"))

    def take() -> Hold:
        taken = Lease(cluster, namespace, "digits")
        taken.start()
        return taken

    return take


KINDS = {"always": always, "memory": memory, "lease": lease}


@pytest.fixture(params=KINDS)
def take(request: pytest.FixtureRequest) -> Iterator[Take]:
    """Return what takes it, as another host would."""
    holds: list[Hold] = []
    taking = KINDS[request.param](request)

    def take_another() -> Hold:
        holds.append(taking())
        return holds[-1]

    yield take_another
    for hold in holds:
        hold.release()


def test_what_is_free_is_held_by_who_asks(take: Take) -> None:
    hold = take()
    assert hold.services in {None, ("digits",)}
    assert hold.held("digits")
    assert hold.held("other") is (hold.services is None)


def test_what_was_released_another_host_has_at_once(take: Take) -> None:
    hold = take()
    hold.release()
    hold.release()
    assert take().held("digits")
    assert hold.held("digits") is (hold.services is None)
