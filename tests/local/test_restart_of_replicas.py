"""`cloche restart` on this machine: real servers, under load."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from fixtures.command_line import User, a_user, end, finished, scaled_maximum
from fixtures.load import Load, ready
from fixtures.local import until

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with a_user(cleans=True) as one:
        yield one


def processes(user: User, name: str) -> set[int]:
    return {each["pid"] for each in user.service(name)["replicas"]["items"]}


def stamps(status: dict[str, Any]) -> set[str | None]:
    return {each["restarted_at"] for each in status["replicas"]["items"]}


@pytest.mark.parametrize("count", [1, 2])
def test_no_request_is_lost(user: User, count: int) -> None:
    name = f"again-{count}"
    user.deploy(scaled_maximum(user.folder / "model.onnx", 10), name)
    user.run("scale", name, str(count)).expect(0)
    until(lambda: ready(user, name) == count, 60)
    before = processes(user, name)
    with Load(user.address, name) as load:
        said = user.run("restart", name).expect(0)
        load.more()
        until(lambda: ready(user, name) == count, 60)
        load.more()
    told = "1 of 1 replica is new" if count == 1 else f"{count} of {count} replicas are new"
    assert f"{name}: {told}." in said.out
    assert load.failures == []
    assert {value for value, _ in load.answers} == {10}
    assert not before & processes(user, name)
    status = user.service(name)
    assert stamps(status) == {status["restarted_at"]}
    assert status["revision"] == 1
    user.run("delete", name, "--yes").expect(0)


def test_it_goes_on_after_kill_9_of_the_control_plane(user: User) -> None:
    user.deploy(scaled_maximum(user.folder / "cut.onnx", 3), "cut")
    user.run("scale", "cut", "2").expect(0)
    until(lambda: ready(user, "cut") == 2, 60)
    before = processes(user, "cut")
    with Load(user.address, "cut") as load:
        begun = user.begin("restart", "cut", "--no-wait", "--json")
        until(lambda: "cut-r1-2" in user.running(), 60)
        os.kill(user.control_pid(), signal.SIGKILL)
        end(begun)
        user.run("status", "cut").expect(0)  # starts the next control plane
        until(lambda: not before & processes(user, "cut") and ready(user, "cut") == 2, 120)
        load.more()
    assert load.failures == []
    user.run("delete", "cut", "--yes").expect(0)


def test_a_replica_that_does_not_come_up_leaves_the_others(user: User) -> None:
    needed = user.folder / "switches" / "needed.txt"
    needed.parent.mkdir()
    needed.write_text("0")
    made = finished(user.folder / "fragile", "shaky", "x * 2")
    code = made / "shaky" / "1" / "model.py"
    code.write_text(
        code.read_text().replace("sleep(0)", f"sleep(float(open({str(needed)!r}).read()))")
    )
    spec = {"name": "shaky", "model": str(made), "sandbox": {"read": [str(needed.parent)]}}
    (user.folder / "shaky.yaml").write_text(json.dumps(spec))
    user.run("deploy", "-f", "shaky.yaml", "--json").expect(0)
    before = processes(user, "shaky")
    needed.unlink()
    failed = user.run("restart", "shaky", "--json").expect(1).json["error"]
    assert failed["code"] == "restart.failed"
    assert "A new replica of shaky does not come up." in failed["what"]
    assert before <= processes(user, "shaky")
    assert user.service("shaky")["replicas"]["ready"] == 1
    user.run("verify", "shaky").expect(0)
    needed.write_text("0")
    user.run("restart", "shaky").expect(0)
    until(lambda: ready(user, "shaky") == 1, 60)
    assert not before & processes(user, "shaky")
    user.run("delete", "shaky", "--yes").expect(0)
