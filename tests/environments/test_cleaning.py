"""Taking environments away: what is needed, was asked for, or is being made stays."""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING

import pytest
from wheels import PYTHON

from cloche import environments
from cloche.progress import SilentProgress

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import Lock

LONG_AGO = 3600.0


@pytest.fixture
def root(tmp_path: Path, lock: Lock, environment: dict[str, str]) -> Path:
    """A folder with one environment, last asked for an hour ago."""
    folder = environments.materialize(
        lock, tmp_path / "made", SilentProgress(), environment=environment
    )
    before = time.time() - LONG_AGO
    os.utime(folder / ".complete", (before, before))
    return tmp_path / "made"


def test_an_unused_one_goes_and_can_be_made_again(
    root: Path, lock: Lock, environment: dict[str, str]
) -> None:
    held = environments.usage(root, keep=())
    assert [(one.digest, one.kept) for one in held] == [(lock.digest, False)]
    assert held[0].label == f"Python {PYTHON}, 2 packages"
    cleaned = environments.clean(root, keep=(), before=time.time() - LONG_AGO / 2)
    assert [one.digest for one in cleaned.removed] == [lock.digest]
    assert cleaned.size == 0
    assert environments.usage(root, keep=()) == []
    again = environments.materialize(lock, root, SilentProgress(), environment=environment)
    assert environments.existing(lock, root) == again


def test_a_needed_one_stays(root: Path, lock: Lock) -> None:
    cleaned = environments.clean(root, keep={lock.digest}, before=time.time())
    assert cleaned.removed == ()
    assert cleaned.size > 0
    assert environments.existing(lock, root).is_dir()


def test_one_that_was_asked_for_since_stays(
    root: Path, lock: Lock, environment: dict[str, str]
) -> None:
    environments.materialize(lock, root, SilentProgress(), environment=environment)
    assert environments.clean(root, keep=(), before=time.time() - LONG_AGO / 2).removed == ()


def test_one_that_is_being_made_stays(root: Path, lock: Lock) -> None:
    folder = environments.existing(lock, root)
    with open(f"{folder}.lock", "w") as file:  # noqa: PTH123
        fcntl.flock(file, fcntl.LOCK_EX)
        assert environments.clean(root, keep=(), before=time.time()).removed == ()
    assert environments.existing(lock, root) == folder


def test_the_rest_of_a_killed_making_goes(root: Path) -> None:
    unfinished = root / ("ab" * 32)
    (unfinished / "bin").mkdir(parents=True)
    before = time.time() - LONG_AGO
    os.utime(unfinished, (before, before))
    cleaned = environments.clean(root, keep=(), before=time.time() - LONG_AGO / 2)
    assert "unfinished environment" in {one.label for one in cleaned.removed}
    assert not unfinished.exists()


def test_nothing_was_ever_made(tmp_path: Path) -> None:
    assert environments.clean(tmp_path / "none", keep=(), before=time.time()).removed == ()
