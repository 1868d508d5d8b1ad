"""Files written whole or not at all, and locks between processes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cloche import files


class HeldError(Exception):
    """Another one holds the lock."""


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_private_folder_is_so_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        wide = tmp_path / "wide"
        wide.mkdir()
        for folder in (wide, tmp_path / "new" / "inner"):
            files.private_folder(folder)
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    finally:
        os.umask(before)


def test_a_shared_folder_and_one_behind_a_link_stay_as_they_are(tmp_path: Path) -> None:
    shared, linked = tmp_path / "shared", tmp_path / "linked"
    for folder, mode in ((shared, 0o1777), (linked, 0o755)):
        folder.mkdir()
        folder.chmod(mode)
    (tmp_path / "link").symlink_to(linked)
    files.private_folder(shared)
    files.private_folder(tmp_path / "link")
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
    assert stat.S_IMODE(linked.stat().st_mode) == 0o755


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    files.write_atomically(path, b"one")
    files.write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["record.json"]


def test_a_private_file_is_its_owners_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    write_all = files.write_all

    def seen(descriptor: int, data: bytes) -> None:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        write_all(descriptor, data)

    monkeypatch.setattr(files, "write_all", seen)
    files.write_atomically(tmp_path / "token", b"secret", private=True)
    assert modes == [0o600]
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


def test_what_cannot_be_written_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "record.json"
    files.write_atomically(path, b"old")

    def full(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_all", full)
    with pytest.raises(OSError, match="No space"):
        files.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["record.json"]


def test_a_lock_is_for_one_or_for_those_who_share_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    waited: list[str] = []
    with files.locked(path, busy=HeldError):
        with (
            pytest.raises(HeldError),
            files.locked(path, busy=HeldError, limit=0.05, waiting=lambda: waited.append("once")),
        ):
            pass
        with pytest.raises(HeldError), files.locked(path, busy=HeldError, shared=True):
            pass
    assert waited == ["once"]
    with (
        files.locked(path, busy=HeldError, shared=True),
        files.locked(path, busy=HeldError, shared=True),
        pytest.raises(HeldError),
        files.locked(path, busy=HeldError),
    ):
        pass


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    waiting, held = threading.Event(), []

    def wait() -> None:
        with files.locked(path, busy=HeldError, limit=20, waiting=waiting.set):
            held.append(True)

    with files.locked(path, busy=HeldError):
        thread = threading.Thread(target=wait)
        thread.start()
        assert waiting.wait(20)
        assert not held
    thread.join(20)
    assert held


def test_a_child_that_inherits_a_lock_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with files.locked(path, busy=HeldError) as descriptor:
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(descriptor,)
        )
    with pytest.raises(HeldError), files.locked(path, busy=HeldError):
        pass
    child.communicate(b"\n")
    with files.locked(path, busy=HeldError):
        pass
