"""A lock of two packages from an index on disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import wheels
from wheels import PYTHON

from cloche import environments
from cloche.progress import SilentProgress
from cloche.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import Lock


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the variables of a user whose index stands in a folder."""
    return {**os.environ, **wheels.index(tmp_path / "index")}


@pytest.fixture
def lock(tmp_path: Path, environment: dict[str, str]) -> Lock:
    return environments.lock(
        ("branch",), PYTHON, store=Store(tmp_path / "store", 2**30), progress=SilentProgress(),
        environment=environment,
    )  # fmt: skip
