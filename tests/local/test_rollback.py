"""Going back to an earlier revision, on real servers: from what is kept, and under load."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from fixtures.command_line import User, a_user, end, finished, scaled_maximum
from fixtures.load import Load, ready
from fixtures.local import until

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with a_user(cleans=True) as one:
        yield one


def kinds(user: User, name: str) -> list[tuple[str, int | None]]:
    """Return the kinds of a service's events and the revisions that they are of."""
    with user.control() as control:
        return [(event.kind, event.revision) for event in control.events(name)]


def test_what_was_live_comes_back_with_no_request_lost(user: User) -> None:
    """The file that it came from is gone, and the other way of deploying has another one."""
    path = scaled_maximum(user.folder / "model.onnx", 10)
    user.deploy(path, "back")
    scaled_maximum(path, 20)
    user.deploy(path, "back")
    path.unlink()
    with Load(user.address, "back") as load:
        made = user.run("rollback", "back", "--json").expect(0).json
        load.more()
    assert (made["revision"], made["from"], made["cause"], made["phase"]) == (
        1, 2, "rollback", "live",
    )  # fmt: skip
    assert made["verified"] is True
    assert load.failures == []
    assert not Counter(one for one in load.answers if one[1] and one[0] != 10 * one[1])
    assert load.answers[-1][0] == 10
    until(lambda: ready(user, "back") == 1, 60)
    # The golden request was asked again before the first answer of revision 1.
    told = kinds(user, "back")
    asked = told.index(("rolled_back", 1))
    assert ("verified", 1) in told[asked:]
    history = user.run("history", "back", "--json").expect(0).json
    assert history["restorable"] == [1, 2]
    # And forward again, with no golden request.
    forward = user.run("rollback", "back", "--to", "2", "--no-verify").expect(0)
    assert "not repeated (--no-verify)" in forward.out
    assert ("verified", 2) not in kinds(user, "back")[asked:]
    user.run("delete", "back", "--yes").expect(0)


def test_a_rollback_goes_on_after_kill_9_of_the_control_plane(user: User) -> None:
    path = scaled_maximum(user.folder / "cut.onnx", 1)
    user.deploy(path, "cut")
    scaled_maximum(path, 2)
    user.deploy(path, "cut")
    with Load(user.address, "cut") as load:
        waiting = user.begin("rollback", "cut", "--json")
        until(lambda: "cut-r1-0" in user.running(), 60)
        os.kill(user.control_pid(), signal.SIGKILL)
        assert end(waiting).expect(0).json["phase"] == "live"
        load.more()
    assert load.failures == []
    until(lambda: ready(user, "cut") == 1, 60)
    user.run("delete", "cut", "--yes").expect(0)


def test_a_revision_that_fails_now_leaves_what_is_live(user: User) -> None:
    factor = user.folder / "opened" / "factor.txt"
    factor.parent.mkdir()
    factor.write_text("2")
    fragile = finished(user.folder / "fragile", "shaky", f"x * float(open({str(factor)!r}).read())")
    closed = user.deploy(fragile, "shaky", code=1)["error"]
    assert closed["code"] == "rollout.verification"
    assert "`sandbox: {read: [PATH]}`" in closed["hint"]
    spec = {"name": "shaky", "model": str(fragile), "sandbox": {"read": [str(factor.parent)]}}
    (user.folder / "shaky.yaml").write_text(json.dumps(spec))
    first = user.run("deploy", "-f", "shaky.yaml", "--json").expect(0).json["revision"]
    user.deploy(finished(user.folder / "solid", "shaky", "x * 3"), "shaky")
    factor.unlink()
    failed = user.run("rollback", "shaky", "--json").expect(1).json
    assert failed["error"]["code"] == "rollout.verification"
    assert f"Revision {first + 1} is still live." in failed["error"]["hint"]
    assert user.service("shaky")["live"] == first + 1
    until(lambda: ready(user, "shaky") == 1, 60)
    factor.write_text("2")
    user.run("rollback", "shaky", "--to", str(first)).expect(0)
    user.run("delete", "shaky", "--yes").expect(0)


def test_what_is_not_kept_and_what_is_under_way_is_said(user: User) -> None:
    text = "name: few\nmodel: ./few.onnx\nrollout: {keep: 1}\n"
    (user.folder / "few.yaml").write_text(text)
    for factor in (1, 2, 3):
        scaled_maximum(user.folder / "few.onnx", factor)
        user.run("deploy", "-f", "few.yaml").expect(0)
    user.run("cache", "clean", "--to", "0").expect(0)
    gone = user.run("rollback", "few").expect(1)
    assert "error[rollback.gone]: Revision 2 of few cannot be brought back" in gone.err
    assert "rollout.keep" in gone.err
    history = user.run("history", "few", "--json").expect(0).json
    assert (history["restorable"], history["keep"]) == ([3], 1)
    slow = finished(user.folder / "slow", "few", "x", seconds=30)
    waiting = user.begin(
        "deploy", slow, "--name", "few", "--accept-weaker", "--accept-interface", "--json"
    )
    until(lambda: "few-r4-0" in user.running(), 60)
    under_way = user.run("rollback", "few").expect(1)
    assert "A rollout to revision 4 of few is under way" in under_way.err
    assert "--to 3 ends it" in under_way.err
    stayed = user.run("rollback", "few", "--to", "3", "--json").expect(0).json
    assert (stayed["revision"], stayed["phase"]) == (3, "live")
    assert end(waiting).expect(3).json["error"]["code"] == "deploy.superseded"
    user.run("delete", "few", "--yes").expect(0)
