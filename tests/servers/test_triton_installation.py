from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from cloche.environments import interpreters
from cloche.servers.triton import backend_folder, installation

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """Replace what downloads by something that leaves the same files; records each making."""
    calls: list[Path] = []
    library = tmp_path / "libpython3.12.so.1.0"
    library.touch()
    found = interpreters.Interpreter(tmp_path / "python", (3, 12, 1), library)

    def make(folder: Path, _python: Path, _environment: Any, *, keep_open: int) -> None:
        assert keep_open > 2
        calls.append(folder)
        server = folder / "lib" / "python3.12" / "site-packages" / "pytriton" / "tritonserver"
        python = server / "backends" / "python"
        python.mkdir(parents=True)
        (python / "libtriton_python.so").touch()
        (python / "triton_python_backend_utils.py").write_text("# of the wheel\n")
        for minor in interpreters.PYTHONS:
            stub = server / "python_backend_stubs" / minor / backend_folder.STUB
            stub.parent.mkdir(parents=True)
            stub.touch()
        time.sleep(0.05)

    monkeypatch.setattr(interpreters, "find", lambda *_, **__: found)
    monkeypatch.setattr(installation.packages, "make_environment", make)
    monkeypatch.setattr(installation, "_check_that_it_runs", lambda _: None)
    monkeypatch.setattr(installation.host, "check", lambda: None)
    return calls


def test_it_is_made_once_whoever_asks(made: list[Path], tmp_path: Path) -> None:
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda: results.append(installation.install(tmp_path / "servers")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(made) == 1
    assert len(results) == 4
    assert len(set(results)) == 1
    stub = results[0].backends / "python" / backend_folder.STUB
    assert stub.stat().st_mode & 0o111 == 0o111
    assert (results[0].backends / "onnxruntime" / "model.py").is_file()


def test_one_that_was_cut_off_is_made_again(made: list[Path], tmp_path: Path) -> None:
    first = installation.install(tmp_path / "servers")
    (first.root / "installation.json").unlink()
    (first.root / "environment" / "half").touch()
    second = installation.install(tmp_path / "servers")
    assert second == first
    assert len(made) == 2
    assert not (second.root / "environment" / "half").exists()


def test_one_whose_python_is_gone_is_made_again(made: list[Path], tmp_path: Path) -> None:
    first = installation.install(tmp_path / "servers")
    for link in first.libraries.iterdir():
        link.unlink()
        link.symlink_to(tmp_path / "removed")
    installation.install(tmp_path / "servers")
    assert len(made) == 2


def test_other_backends_stand_beside_those_in_use(
    made: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = installation.install(tmp_path / "servers")
    shipped = tmp_path / "shipped"
    (shipped / "onnxruntime").mkdir(parents=True)
    (shipped / "onnxruntime" / "model.py").write_text("# of another version\n")
    monkeypatch.setattr(backend_folder, "_SHIPPED", shipped)
    second = installation.install(tmp_path / "servers")
    assert len(made) == 1
    assert second.backends != first.backends
    assert first.backends.is_dir()
    assert not list(first.root.glob(".backends-*"))
