"""Where the sockets of replicas are, whose they are, and who is connected to them."""

from __future__ import annotations

import os
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from cloche.errors import UnavailableError
from cloche.targets.local import proc, socket_folder, socket_peers
from cloche.targets.local.envoy.sockets import is_connected
from cloche.targets.local.processes import Marker
from cloche.targets.local.replica_sockets import ReplicaSockets


def listening(path: Path, stack: ExitStack) -> socket.socket:
    server = stack.enter_context(socket.socket(socket.AF_UNIX))
    server.bind(str(path))
    server.listen()
    return server


def test_the_kernel_tells_who_is_connected(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    with ExitStack() as stack:
        servers = [listening(path, stack) for path in (one, other)]
        assert socket_peers.of([str(one), str(other)]) == frozenset()
        client = stack.enter_context(socket.socket(socket.AF_UNIX))
        client.connect(str(one))
        accepted, _ = servers[0].accept()
        stack.enter_context(accepted)
        own = os.fstat(client.fileno()).st_ino
        assert socket_peers.of([str(one)]) == {own}
        assert own in proc.sockets(os.getpid())
        assert is_connected(os.getpid(), {f"unix:{one}", "127.0.0.1:9"})
        assert not is_connected(os.getpid(), {f"unix:{other}"})
        assert not is_connected(1 if os.getpid() != 1 else 2, {f"unix:{one}"})
    assert socket_peers.of([str(one)]) == frozenset()


def test_what_cannot_be_told_counts_as_connected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_paths: object) -> frozenset[int]:
        raise OSError("no buffer space")

    monkeypatch.setattr(socket_peers, "of", refuse)
    assert is_connected(os.getpid(), {f"unix:{tmp_path / 'one'}"})
    assert ReplicaSockets.usable(tmp_path) is None


def test_each_start_of_each_replica_has_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_folder, "_PATH_LIMIT", 1000)
    sockets = ReplicaSockets(tmp_path / "sockets")
    markers = [Marker.new(tmp_path, name) for name in ("a-r1-0", "a-r1-0", "a-r1-1")]
    folders = [sockets.make(marker) for marker in markers]
    assert len(set(folders)) == 3
    for folder in folders:
        assert folder.parent == tmp_path / "sockets"
        assert folder.stat().st_mode & folder.parent.stat().st_mode & 0o777 == 0o700
        (folder / "s.http").touch()
    sockets.remove("a-r1-0")
    assert list((tmp_path / "sockets").iterdir()) == folders[2:]
    sockets.remove_all()
    assert not (tmp_path / "sockets").exists()


def test_a_long_home_has_its_sockets_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not under pytest's folder, whose path has the name of the user.
    with tempfile.TemporaryDirectory(prefix="cloche-test-") as temporary:
        monkeypatch.setattr("tempfile.gettempdir", lambda: temporary)
        long = tmp_path / ("long" * 30)
        marker = Marker.new(long, "a-r1-0")
        folder = ReplicaSockets(long).make(marker).parent
        assert folder != ReplicaSockets(tmp_path / ("other" * 30)).make(marker).parent
        assert len(str(folder)) < 100
        assert folder.parent.stat().st_mode & 0o777 == folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a folder to another user takes root")
def test_a_folder_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    (tmp_path / f"cloche-{os.getuid()}").mkdir()
    os.chown(tmp_path / f"cloche-{os.getuid()}", 12345, 12345)
    with pytest.raises(UnavailableError) as caught:
        socket_folder.make(socket_folder.place(tmp_path / ("long" * 30), 10))
    assert caught.value.code == "target.local.socket_folder"
