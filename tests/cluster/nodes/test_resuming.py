"""A command that ends in the middle of a rollout: the next one goes on, from wherever it runs."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from fixtures.cluster_users import ClusterUser
from fixtures.command_line import end, scaled_maximum
from fixtures.local import until

NAME = "resumed"
Users = Callable[[], ClusterUser]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have ctrl-C as a terminal gives it: in the background of a shell it is ignored, and stays so
    in what is started there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def declare(user: ClusterUser, factor: float) -> None:
    """Write a version of the service; same bytes for each user."""
    user.declare(NAME, scaled_maximum(user.user.folder / "model.onnx", factor))


def rollout(user: ClusterUser) -> dict[str, object] | None:
    """Return the rollout that is under way, as recorded."""
    found = json.loads(user.kubectl("get", "configmap", f"cloche-{NAME}", "-o", "json"))
    latest: dict[str, object] = json.loads(found["data"]["record.json"])["rollouts"][-1]
    return latest if latest["outcome"] is None else None


def interrupted(user: ClusterUser, phase: str, number: int) -> subprocess.Popen[str]:
    """Begin a deploy, and signal it as soon as its rollout is recorded in a phase or later."""
    phases = ("pending", "starting", "verifying", "shifting")
    command = user.begin("deploy")

    def reached() -> bool:
        now = rollout(user)
        return now is not None and phases.index(str(now["phase"])) >= phases.index(phase)

    until(reached, 60, every=0.01)
    command.send_signal(number)
    return command


def selected(user: ClusterUser) -> str:
    """Return the revision that has the traffic."""
    path = "jsonpath={.spec.selector.cloche\\.dev/revision}"
    return user.kubectl("get", "service", NAME, "-o", path)


@pytest.mark.parametrize("phase", ["pending", "starting", "verifying", "shifting"])
def test_a_killed_deploy_is_gone_on_with_from_elsewhere(cluster_users: Users, phase: str) -> None:
    ann, ben = cluster_users(), cluster_users()
    declare(ann, 2)
    ann.deploy()
    declare(ann, 3)
    interrupted(ann, phase, signal.SIGKILL).communicate(timeout=60)
    declare(ben, 3)
    done = ben.deploy()
    assert (done["revision"], done["phase"]) == (2, "live")
    assert rollout(ben) is None
    assert selected(ben) == "2"


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_leaves_what_was_live_and_says_how_to_go_on(cluster_user: ClusterUser) -> None:
    declare(cluster_user, 2)
    cluster_user.deploy()
    declare(cluster_user, 3)
    command = interrupted(cluster_user, "starting", signal.SIGINT)
    done = end(command)
    assert done.code == 130
    assert "The same deploy goes on with it" in done.err
    assert selected(cluster_user) == "1"
    back = cluster_user.run("rollback", NAME, "--to", "1", "--json").expect(0).json
    assert (back["revision"], back["phase"]) == (1, "live")


def test_of_two_who_deploy_at_once_the_later_wins(cluster_users: Users) -> None:
    ann, ben = cluster_users(), cluster_users()
    declare(ann, 2)
    ann.deploy()
    declare(ann, 3)
    declare(ben, 5)
    first, second = ann.begin("deploy", "--json"), ben.begin("deploy", "--json")
    ended = [end(first, limit=240), end(second, limit=240)]
    codes = sorted(each.code for each in ended)
    assert codes in ([0, 0], [0, 3]), [each.out + each.err for each in ended]
    assert rollout(ann) is None
    assert selected(ann) == "3"
