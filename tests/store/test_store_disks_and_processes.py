"""A store on a disk that is full or unwritable, and among processes that are killed or many."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from store_leftovers import leftovers

from cloche import files
from cloche.artifacts import digest_of
from cloche.errors import ClocheError
from cloche.store import Store, disk, partials

if TYPE_CHECKING:
    from collections.abc import Iterator


# ── full and unwritable disks ─────────────────────────────────────────────────────────────────


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root to mount a small tmpfs")
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], check=False
    )
    if done.returncode != 0:
        pytest.skip("cannot mount a tmpfs here")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def test_a_file_too_large_for_the_disk_is_refused_before_it_is_written(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"x" * 3 * 2**20)
    with small_disk(tmp_path / "disk", "2m") as disk_path:
        store = Store(disk_path / "store")
        with pytest.raises(ClocheError) as raised:
            store.add_file(big)
        assert raised.value.code == "store.full"
        assert "3.0 MiB were needed" in raised.value.what
        assert leftovers(store) == []


def test_a_disk_that_fills_while_writing_leaves_nothing_half(
    store: Store, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_write = os.write

    def write(descriptor: int, data: bytes) -> int:
        if Path(f"/proc/self/fd/{descriptor}").readlink().parent == store.root / "partial":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(ClocheError) as raised:
        store.add_file(model)
    assert raised.value.code == "store.full"
    assert raised.value.retriable
    assert raised.value.where == str(store.root)
    monkeypatch.undo()
    assert leftovers(store) == []
    assert store.add_file(model).size == 5000


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("this is a file")
    with pytest.raises(ClocheError) as raised:
        Store(tmp_path / "home/store").add_bytes(b"x")
    assert raised.value.code == "store.unwritable"
    assert "CLOCHE_HOME" in (raised.value.hint or "")


def test_other_errors_of_the_system_are_not_renamed(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output"), disk.writing(tmp_path):
        raise OSError(errno.EIO, "Input/output error")


# ── processes ─────────────────────────────────────────────────────────────────────────────────

_KILLED = """
import os, signal, sys
from pathlib import Path
from cloche.store import Store

class Killer:
    def advance(self, amount): os.kill(os.getpid(), signal.SIGKILL)
    def note(self, text): pass

Store(Path(sys.argv[1])).add_file(Path(sys.argv[2]), Killer())
"""


def test_what_a_killed_process_left_is_no_file_and_is_cleaned(store: Store, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(9 * 2**20))
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(store.root), str(big)], check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    assert len(leftovers(store)) == 1
    assert not store.use(digest_of(big.read_bytes()))
    store.clean((), store.max_size)
    assert leftovers(store) == []


_WORKER = """
import random, sys
from pathlib import Path
from cloche.artifacts import FileEntry
from cloche.store import Store

store, source = Store(Path(sys.argv[1])), Path(sys.argv[2])
for turn in range(40):
    with store.working():
        files = tuple(store.add_file(path) for path in sorted(source.iterdir()))
        digest = store.put_tree(files)
        assert store.tree_path(digest).is_dir()
        assert [store.read(f.digest)[:1] for f in files] == [b"a", b"b", b"c"]
    if random.random() < 0.5:
        store.clean((), 0)
print(digest)
"""


def test_a_download_that_was_killed_when_it_was_whole_is_taken_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writer makes it read-only before it renames it; root may write it all the same."""

    def of_a_plain_user(path: Path) -> int:
        if path.exists() and not path.stat().st_mode & stat.S_IWUSR:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return files.open_lock(path)

    monkeypatch.setattr(partials, "open_lock", of_a_plain_user)
    with store.download("key") as partial:
        partial.append(b"whole")
    partial.path.chmod(0o444)
    with store.download("key") as again:
        assert again.path == partial.path
        again.begin_at(again.size)
        assert again.size == 5


def test_several_processes_add_and_clean_at_once(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for letter in "abc":
        (source / letter).write_bytes(letter.encode() * 50_000)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(store.root), str(source)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    answers = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0], answers
    assert len({out for out, _ in answers}) == 1
    assert leftovers(store) == []
