"""A full disk: what serves goes on, what dies is started again, and room can be made."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloche.targets.local.envoy.admin import Admin, socket_path
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
    with file.open("wb", buffering=0) as taken:
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


def routed(user: User) -> bool:
    """Return whether the gateway sends requests to the replicas that run now."""
    replicas = user.service("full")["replicas"]["items"]
    hosts = Admin(socket_path(user.settings.layout.gateway)).hosts()
    well = {host.port for host in hosts if host.healthy and host.cluster == "full.r1.http"}
    return well == {int(each["url"].rpartition(":")[2]) for each in replicas if each["url"]}


def pids(user: User) -> set[int]:
    return {each["pid"] for each in user.service("full")["replicas"]["items"]}
