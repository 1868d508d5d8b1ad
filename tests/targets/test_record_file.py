"""The record of a server, on a disk that has no room now and then."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloche.errors import ClocheError
from cloche.targets.local import records
from cloche.targets.local.record_file import RecordFile
from cloche.testing import deployment

FIRST, SECOND = deployment("first").operated, deployment("second", replicas=2).operated


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "replicas" / "m-r1-0.json"


def test_nothing_begins_without_a_record(path: Path) -> None:
    path.parent.write_text("a file where the folder would be")
    with pytest.raises(ClocheError, match="Cannot write"):
        RecordFile(path, path).begin(FIRST)


def test_what_runs_goes_on_without_one_and_it_is_written_later(path: Path) -> None:
    file = RecordFile(path, path.with_name("reserve"))
    file.begin(FIRST)
    assert file.pause(None) is None
    path.rename(path.with_name("kept"))
    path.mkdir()  # stands for a disk that takes no more
    file.write(SECOND)
    assert file.is_behind
    assert (file.pause(None), file.pause(0.1)) == (1.0, 0.1)
    file.catch_up(SECOND)
    assert file.is_behind
    path.rmdir()
    file.catch_up(SECOND)
    assert not file.is_behind
    assert records.load(path, type(SECOND)) == SECOND
    file.remove()
    assert not path.exists()
