"""A full disk: what serves goes on, what dies is started again, and room can be made."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloche.clients.control.record import read_record
from cloche.targets.local.envoy.admin import Admin, socket_path
from fixtures.asking import client_at
from fixtures.cache import cache_folder
from fixtures.command_line import User, a_user, scaled_maximum
from fixtures.load import Load, ready
from fixtures.local import until

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root to mount a small tmpfs")
    with a_user(cleans=True) as one:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs", str(one.home)], check=True
        )
        try:
            (one.home / "servers").symlink_to(cache_folder() / "servers")
            yield one
            one.run("down").expect(0)
        finally:
            subprocess.run(["umount", "-l", str(one.home)], check=True)


def fill(folder: Path) -> Path:
    """Take all the room of a disk; return the file that has it."""
    file = folder / "everything"
    with file.open("ab", buffering=0) as taken:
        for size in (2**16, 2**12):
            try:
                while True:
                    taken.write(b"x" * size)
            except OSError:
                continue
    assert shutil.disk_usage(folder).free == 0
    return file


def test_what_dies_on_a_full_disk_is_started_again(user: User) -> None:
    user.deploy(scaled_maximum(user.folder / "model.onnx", 10), "full")
    user.run("scale", "full", "2", "--wait").expect(0)
    taken = fill(user.home)
    replicas = {each["pid"] for each in user.service("full")["replicas"]["items"]}
    with Load(user.address, "full", pause=0.002) as load:
        for pid in sorted(replicas):
            os.kill(pid, signal.SIGKILL)
            until(lambda gone=pid: gone not in pids(user), 60)
            until(lambda: ready(user, "full") == 2 and routed(user), 60)
            load.more(3000)  # a second fault at the moment of the repair is another matter
        load.more(100)
    assert not replicas & pids(user)
    assert len(load.failures) <= 2 * load.clients, load.failures
    assert user.run("status", "full").expect(0).out.count("2/2") == 1
    user.run("cache", "show").expect(0)
    user.run("cache", "clean", "--to", "0").expect(0)
    user.run("delete", "full", "--yes").expect(0)
    taken.unlink()
    assert "full" not in user.run("status").expect(0).out


def test_a_control_plane_and_a_gateway_that_die_on_it_come_back(user: User) -> None:
    user.deploy(scaled_maximum(user.folder / "model.onnx", 10), "kept")
    taken = full_with_reserves(user)
    with Load(user.address, "kept", pause=0.002) as load:
        for _ in range(2):
            before = user.control_pid()
            os.kill(before, signal.SIGKILL)
            until(lambda gone=before: another(user, gone), 60)
            load.more()
        assert load.failures == [], "the control plane serves nothing itself"
        gateway = user.run("status", "--json").expect(0).json["gateway"]["pid"]
        os.kill(gateway, signal.SIGKILL)
        until(lambda: user.run("status", "--json").json["gateway"]["pid"] not in {None, gateway})
        load.more(2000)
        load.failures.clear()
        load.more(100)
    assert load.failures == []
    assert [each["phase"] for each in user.service("kept")["replicas"]["items"]] == ["ready"]
    taken.unlink()


def test_what_is_recorded_is_told_and_can_be_deleted_on_it(user: User) -> None:
    taken = full_with_reserves(user)
    assert user.run("status", "kept").expect(0).out.count("1/1") == 1
    assert "Revision 1 is live." in user.run("events", "kept").expect(0).out
    assert user.run("history", "kept", "--json").expect(0).json["revisions"][0]["live"]
    assert user.run("logs", "kept", "--lines", "1").expect(0).out
    shown = user.run("cache", "show", "--json").expect(0).json["entries"]
    assert any(each["held_by"] == [{"service": "kept", "revision": 1}] for each in shown)
    assert "2 ready" in user.run("scale", "kept", "2", "--wait").expect(0).out
    user.run("delete", "kept", "--yes").expect(0)
    assert "No services." in user.run("status").expect(0).out
    user.run("cache", "clean", "--to", "0").expect(0)
    taken.unlink()


def test_down_ends_all_on_it_and_what_was_is_told(user: User) -> None:
    user.deploy(scaled_maximum(user.folder / "model.onnx", 10), "ended")
    taken = full_with_reserves(user)
    user.run("down").expect(0)
    assert user.running() == []
    fill(user.home)
    assert "0/1" in user.run("status").expect(0).out
    assert user.run("history", "ended").expect(0).out
    assert "Revision 1 is live." in user.run("events", "ended").expect(0).out
    assert user.run("cache", "show").expect(0).out
    taken.unlink()
    user.run("up").expect(0)
    assert ready(user, "ended") == 1


def test_nothing_is_shown_ready_that_is_not(user: User) -> None:
    """Also where not even the reserves are left, and nothing can be recorded."""
    full_with_reserves(user)
    taken = without_reserves(user)
    (killed,) = pids(user, "ended")
    os.kill(killed, signal.SIGKILL)
    until(lambda: killed not in pids(user, "ended"), 60)
    for _ in range(100):
        for each in user.service("ended")["replicas"]["items"]:
            if each["phase"] == "ready":
                with client_at(each["url"], timeout=10) as client:
                    assert client.get("/v2/health/ready").is_success
    taken.unlink()
    until(lambda: ready(user, "ended") == 1 and routed_to(user, "ended"), 120)


def full_with_reserves(user: User) -> Path:
    """Fill the disk once both files that are given up on a full one are there."""
    layout = user.settings.layout
    until(lambda: layout.reserve.exists() and layout.state_reserve.exists(), 60)
    return fill(user.home)


def without_reserves(user: User) -> Path:
    """Take what was kept for records, too."""
    user.settings.layout.reserve.unlink(missing_ok=True)
    user.settings.layout.state_reserve.unlink(missing_ok=True)
    return fill(user.home)


def another(user: User, before: int) -> bool:
    record = read_record(user.home)
    return record is not None and record.pid != before


def routed(user: User) -> bool:
    """Return whether the gateway sends requests to the replicas that run now."""
    return routed_to(user, "full")


def routed_to(user: User, service: str) -> bool:
    replicas = user.service(service)["replicas"]["items"]
    hosts = Admin(socket_path(user.settings.layout.gateway)).hosts()
    well = {host.address for host in hosts if host.healthy and host.cluster == f"{service}.r1.http"}
    return well == {each["url"] for each in replicas if each["url"]}


def pids(user: User, service: str = "full") -> set[int]:
    return {each["pid"] for each in user.service(service)["replicas"]["items"]}
