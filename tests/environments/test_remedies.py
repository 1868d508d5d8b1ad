"""Requirements that cannot be resolved: uv's own words, and the likely mend."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import wheels

from cloche import environments
from cloche.environments import remedies
from cloche.errors import ClocheError
from cloche.progress import SilentProgress
from cloche.store import Store

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the variables for an index with packages that do not fit here."""
    folder = tmp_path_factory.mktemp("odd") / "index"
    environment = wheels.index(folder)
    wheels.write(folder, "windows-only", "1.0", tag="py3-none-win_amd64")
    wheels.write(folder, "older", "1.0", tag="cp38-cp38-manylinux_2_17_x86_64")
    wheels.write(folder, "newer", "1.0", python=">=3.14")
    (folder / "sklearn").mkdir()
    (folder / "sklearn" / "sklearn-1.0.tar.gz").touch()
    (folder / "sklearn" / "index.html").write_text('<!DOCTYPE html><a href="sklearn-1.0.tar.gz">')
    return environment


@pytest.mark.parametrize(
    ("lines", "words", "mend"),
    [
        (("leaf >== 1",), "Couldn't parse", "Write the line as `NAME==VERSION`."),
        (("sklearn",), "no usable wheels", "called scikit-learn"),
        (("no-such",), "not found", "If no-such is private"),
        (("windows-only",), "win_amd64", "`windows-only ; sys_platform != 'linux'`"),
        (("newer",), "requires Python", "newer is for Python >=3.14, and the model"),
        (("older==1.0",), "cp38", "older has no wheel for Python 3.11"),
        (("leaf==7.0",), "no version of leaf==7.0", "Check the version"),
        (("branch", "leaf==3.0"), "leaf", "Check the version"),
        (("fork", "leaf==2.0"), "depend on leaf<2", "The pins contradict each other"),
    ],
)
def test_the_likely_mend_is_named(
    tmp_path: Path, index: dict[str, str], lines: tuple[str, ...], words: str, mend: str
) -> None:
    wheels.write(tmp_path, "fork", "1.0", "leaf<2")
    environment = {**os.environ, **index, "UV_INDEX": tmp_path.as_uri()}
    with pytest.raises(ClocheError) as caught:
        environments.lock(
            lines, "3.11", store=Store(tmp_path / "store", 2**30), progress=SilentProgress(),
            environment=environment,
        )  # fmt: skip
    assert caught.value.code == "environment.unresolvable"
    assert words in caught.value.what
    assert mend in str(caught.value.hint)


@pytest.mark.parametrize(
    "words",
    [
        "Because numpy==2.5.5 requires Python >=3.12 and only numpy==2.5.5 is available",
        "Because the requested Python version (>=3.9) does not satisfy Python>=3.12 and numpy==2",
    ],
)
def test_another_python_is_told_in_either_words(words: str) -> None:
    assert remedies.hint(words, "3.9").startswith("numpy is for Python >=3.12, and the model has ")


def test_words_that_are_not_known_get_a_hint_as_well() -> None:
    assert "wheels for Python 3.11" in remedies.hint("uv said: something new", "3.11")
