"""A store, and a file to keep in it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from cloche.store import Store
from cloche.store import index as index_module

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model é.onnx"
    path.write_bytes(b"model" * 1000)
    let_settle(path)
    return path


def let_settle(path: Path) -> None:
    """Wait until the file's timestamps are old enough to be trusted (a few clock ticks)."""
    deadline = time.monotonic() + 5
    while not index_module.is_settled(path.stat()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
