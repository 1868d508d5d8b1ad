"""The keeper is kept: a control plane that dies or hangs is back with no command typed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from cloche.clients.control.record import read_record
from fixtures.command_line import User, a_user, end, scaled_maximum
from fixtures.load import Load, ready
from fixtures.local import until

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with a_user(cleans=True) as one:
        one.deploy(scaled_maximum(one.folder / "model.onnx", 10), "kept")
        one.run("scale", "kept", "2").expect(0)
        until(lambda: ready(one, "kept") == 2, 60)
        yield one


def another(user: User, before: int) -> bool:
    record = read_record(user.home)
    return record is not None and record.pid != before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_it_is_back_and_no_request_is_lost(user: User, number: signal.Signals) -> None:
    until(lambda: user.keeper() is not None)
    replicas = {each["pid"] for each in user.service("kept")["replicas"]["items"]}
    before = user.control_pid()
    with Load(user.address, "kept", pause=0.002) as load:
        os.kill(before, number)
        until(lambda: another(user, before), 60)
        load.more()
    assert load.failures == []
    assert {each["pid"] for each in user.service("kept")["replicas"]["items"]} == replicas
    assert "started again when it dies" in user.run("status").expect(0).out
    assert user.run("status", "--json").expect(0).json["control"]["keeper"] == "parent"


def test_a_replica_is_started_again_by_the_next_one(user: User) -> None:
    """Both end at once: nobody is left to see it."""
    until(lambda: user.keeper() is not None)
    before = user.control_pid()
    replica = user.service("kept")["replicas"]["items"][0]["pid"]
    os.kill(before, signal.SIGKILL)
    os.kill(replica, signal.SIGKILL)
    until(lambda: another(user, before), 60)
    until(lambda: ready(user, "kept") == 2, 60)


def test_a_keeper_that_dies_is_replaced(user: User) -> None:
    until(lambda: user.keeper() is not None)
    keeper = user.keeper()
    assert keeper is not None
    keeper.kill()
    until(lambda: (now := user.keeper()) is not None and now.pid != keeper.pid)
    before = user.control_pid()
    os.kill(before, signal.SIGKILL)
    until(lambda: another(user, before), 60)


def test_what_is_ended_on_purpose_stays_ended(user: User) -> None:
    until(lambda: user.keeper() is not None)
    keeper = user.keeper()
    assert keeper is not None
    user.run("down").expect(0)
    psutil.wait_procs([keeper], 30)
    assert user.keeper() is None
    assert read_record(user.home) is None


def test_up_serves_again_what_was_served_before_down(user: User) -> None:
    user.run("down").expect(0)
    follower = user.begin("events", "kept", "--follow", "--lines", "1")
    assert follower.stdout is not None
    follower.stdout.readline()  # the last one of before
    assert "kept" in user.run("status").expect(0).out
    assert read_record(user.home) is None, "a look at what is recorded starts nothing"
    said = user.run("up").expect(0).out
    assert "is ready." in follower.stdout.readline()
    follower.terminate()
    assert "New events come after `cloche up`." in end(follower).err
    assert "serves 1 service." in said
    assert "kept: 2 of 2 replicas ready" in said
    with Load(user.address, "kept") as load:
        load.more()
    assert load.failures == []
    again = user.run("up", "--json").expect(0).json
    assert again["services"][0]["replicas"]["ready"] == 2


def test_scale_waits_when_it_is_told_to(user: User) -> None:
    said = user.run("scale", "kept", "3", "--wait").expect(0).out
    assert "3 replicas wanted, 3 ready" in said
    assert ready(user, "kept") == 3


def test_up_in_an_empty_home_says_what_to_do(user: User) -> None:
    empty = user.folder / "empty"
    failed = user.run("up", "--json", CLOCHE_HOME=str(empty)).expect(1).json["error"]
    assert failed["code"] == "control.nothing_deployed"
    assert not empty.exists() or list(empty.iterdir()) == []
