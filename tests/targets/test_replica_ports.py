import os
import socket

import pytest

from cloche.targets.local import ports


def test_chosen_ports_are_free_and_below_those_of_passing_connections() -> None:
    chosen = ports.choose(3)
    assert len(set(chosen)) == 3
    assert all(ports.free(ports.LOOPBACK, port) for port in chosen)


def test_replicas_of_one_home_never_get_the_same_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_lowest_outgoing", lambda: ports._LOWEST + 1000)
    kept = ports.Ports()
    kept.keep("adopted", (ports._LOWEST, ports._LOWEST + 1))
    first = kept.take("a", 3)
    second = kept.take("b", 3)
    again = kept.take("a", 3)
    assert not {*first, *second, *again} & {ports._LOWEST, ports._LOWEST + 1}
    assert not set(second) & set(again)
    kept.release("adopted")


def test_who_listens_is_known() -> None:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        assert not ports.free(ports.LOOPBACK, port)
        assert ports.listens(os.getpid(), {port})
        assert not ports.listens(os.getppid(), {port})
    assert not ports.listens(os.getpid(), {port})


@pytest.mark.parametrize(
    ("lines", "is_one"),
    [
        (
            ['failed to start HTTP service: Unavailable - Socket "127.0.0.1:1" already in use '],
            True,
        ),
        (["bind: Address already in use"], True),
        (["Bind for 127.0.0.1:18000 failed: port is already allocated."], True),
        (
            ["starting userland proxy: listen tcp4 127.0.0.1:1: bind: address already in use."],
            True,
        ),
        (["model 'm' is in use by nobody", "exit"], False),
        ([], False),
    ],
)
def test_a_collision_is_known_by_the_last_words(lines: list[str], is_one: bool) -> None:
    assert ports.collided(lines) is is_one
