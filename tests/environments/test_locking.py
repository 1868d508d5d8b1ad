"""Resolving requirements once, with real uv against a small index."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import wheels

from cloche import environments
from cloche.errors import ClocheError
from cloche.progress import SilentProgress
from cloche.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import Lock


def lock(folder: Path, *requirements: str, **environment: str) -> Lock:
    return environments.lock(
        requirements, "3.11", store=Store(folder / "store", 2**30), progress=SilentProgress(),
        environment={**os.environ, **environment},
    )  # fmt: skip


def test_a_lock_pins_and_hashes_everything_and_stays_as_it_was(tmp_path: Path) -> None:
    environment = wheels.index(tmp_path / "index")
    first = lock(tmp_path, "branch", "-c leaf<2", **environment)
    assert "branch==1.0" in first.text
    assert "leaf==1.0" in first.text
    assert first.text.count("--hash=sha256:") == 2
    assert str(tmp_path) not in first.text
    wheels.write(tmp_path / "index", "branch", "1.1", "leaf<3")
    assert lock(tmp_path, "branch", "-c leaf<2", **environment) == first
    other = lock(tmp_path / "other", "branch", "-c leaf<2", **environment)
    assert "branch==1.1" in other.text
    assert other.digest != first.digest


def test_a_package_in_the_place_of_another_is_enough_for_those_that_need_it(
    tmp_path: Path,
) -> None:
    environment = wheels.index(tmp_path / "index")
    wheels.write(tmp_path / "index", "tensorflow", "2.21.0")
    wheels.write(tmp_path / "index", "tensorflow-cpu", "2.21.0")
    wheels.write(tmp_path / "index", "more-layers", "1.0", "tensorflow>=2")
    text = lock(tmp_path, "tensorflow-cpu", "more-layers", **environment).text
    assert "tensorflow-cpu==" in text
    assert "tensorflow==" not in text
    assert "tensorflow==" in lock(tmp_path / "other", "more-layers", **environment).text


def test_the_resolver_speaks_for_itself(tmp_path: Path) -> None:
    environment = wheels.index(tmp_path / "index")
    with pytest.raises(ClocheError) as caught:
        lock(tmp_path, "branch", "leaf>3", **environment)
    assert caught.value.code == "environment.unresolvable"
    assert "leaf" in caught.value.what
    assert "unsatisfiable" in caught.value.what


def test_an_unresolvable_package_is_named_as_it_was_written(tmp_path: Path) -> None:
    environment = wheels.index(tmp_path / "index")
    asked = ("branch", "leaf==7.0.*  # conda.yaml: leaf=7.0")
    with pytest.raises(ClocheError, match="leaf==7") as caught:
        lock(tmp_path, *asked, **environment)
    assert caught.value.code == "environment.unresolvable"
    assert caught.value.what.endswith("leaf==7.0.*  # conda.yaml: leaf=7.0")


def test_recorded_digests_count(tmp_path: Path) -> None:
    environment = wheels.index(tmp_path / "index")
    offered = lock(tmp_path, "leaf==1.0", **environment).text
    digest = offered.partition("--hash=")[2].strip()
    assert lock(tmp_path, f"leaf==1.0 --hash={digest}", **environment).text == offered
    with pytest.raises(ClocheError, match="other digests") as caught:
        lock(tmp_path, f"leaf==1.0 --hash=sha256:{'0' * 64}", **environment)
    assert caught.value.code == "environment.digest"


def test_versions_that_are_not_final_are_chosen_only_where_asked_for(tmp_path: Path) -> None:
    environment = wheels.index(tmp_path / "index")
    wheels.write(tmp_path / "index", "leaf", "3.0rc1")
    assert "leaf==2.0" in lock(tmp_path, "leaf", **environment).text
    assert "leaf==3.0rc1" in lock(tmp_path, "leaf", "--pre", **environment).text


def test_an_index_that_does_not_answer_can_be_tried_again(tmp_path: Path) -> None:
    index = "http://user:secret@127.0.0.1:9/simple"
    with pytest.raises(ClocheError) as caught:
        lock(tmp_path, "leaf", UV_INDEX_URL=index, UV_HTTP_RETRIES="0",
             UV_CACHE_DIR=str(tmp_path / "cache"))  # fmt: skip
    assert caught.value.code == "environment.network"
    assert caught.value.retriable
    assert "secret" not in str(caught.value.to_dict())
