"""What a lock's packages take to download, as an index over HTTP says it."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import package_index
import pytest
import wheels
from wheels import PYTHON

from cloche import environments
from cloche.artifacts import Lock, decode
from cloche.progress import SilentProgress
from cloche.store import Store
from cloche.units import download_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Noting:
    """Progress that keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Noting]:
        yield self

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, amount: int) -> None: ...


def lock(folder: Path, index: package_index.PackageIndex, *requirements: str) -> Lock:
    environment = {"UV_DEFAULT_INDEX": index.url, "UV_CACHE_DIR": str(folder / "cache")}
    return environments.lock(
        requirements, PYTHON, store=Store(folder / "store", 2**30), progress=SilentProgress(),
        environment={**os.environ, **environment},
    )  # fmt: skip


def test_a_lock_knows_what_its_packages_take(tmp_path: Path) -> None:
    wheels.index(tmp_path / "index")
    with package_index.serving(tmp_path / "index") as index:
        made = lock(tmp_path, index, "branch", "leaf<2")
    files = {"branch": "branch-1.0", "leaf": "leaf-1.0"}
    assert made.packages == tuple(files)
    assert made.sizes == {
        name: (tmp_path / "index" / name / f"{file}-py3-none-any.whl").stat().st_size
        for name, file in files.items()
    }


def test_sizes_change_neither_lock_nor_digest(tmp_path: Path) -> None:
    wheels.index(tmp_path / "index")
    with package_index.serving(tmp_path / "index") as index:
        sized = lock(tmp_path / "one", index, "branch")
    with package_index.serving(tmp_path / "index", sized=False) as index:
        unsized = lock(tmp_path / "other", index, "branch")
    assert unsized.sizes == {}
    assert (sized.digest, sized.text) == (unsized.digest, unsized.text)


def test_a_lock_from_before_there_were_sizes_is_read() -> None:
    text = "a==1 \\\n    --hash=x\nb @ https://c\n"
    old = decode(Lock, json.dumps({"digest": "sha256:00", "python": "3.11", "text": text}))
    assert old.sizes == {}
    assert old.packages == ("a", "b")


def test_making_an_environment_says_what_is_downloaded_and_only_once(tmp_path: Path) -> None:
    wheels.index(tmp_path / "index")
    with package_index.serving(tmp_path / "index") as index:
        made = lock(tmp_path, index, "branch")
        environment = {**os.environ, "UV_DEFAULT_INDEX": index.url}
        environment["UV_CACHE_DIR"] = str(tmp_path / "cache")
        first, second = Noting(), Noting()
        for progress in (first, second):
            environments.materialize(made, tmp_path / "made", progress, environment=environment)
    said = f"downloading {download_text(made.sizes, 2)}, installing and compiling"
    assert said in first.notes
    assert second.notes == []


@pytest.mark.parametrize(
    ("sizes", "count", "text"),
    [
        ({}, 1, "1 package"),
        ({}, 74, "74 packages"),
        ({"a": 2048}, 1, "up to 2.0 KiB in 1 package (a 2.0 KiB)"),
        (
            {"a": 1024, "b": 2048}, 3,
            "up to 3.0 KiB in 3 packages, 1 of unknown size (b 2.0 KiB, a 1.0 KiB)",
        ),
        (
            {"d": 1, "c": 2, "b": 3, "a": 3}, 4,
            "up to 9 bytes in 4 packages (a 3 bytes, b 3 bytes, c 2 bytes)",
        ),
    ],
)  # fmt: skip
def test_packages_are_told_with_the_largest(sizes: dict[str, int], count: int, text: str) -> None:
    assert download_text(sizes, count) == text
