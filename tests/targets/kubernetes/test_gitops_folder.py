"""The folder of an export: what others wrote there is safe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cloche.artifacts import digest_of
from cloche.errors import ClocheError, ConflictError
from cloche.targets.kubernetes.gitops import folder

FIRST = {"a.yaml": "a: 1\n", "templates/b.yaml": "b: 1\n"}


def test_an_export_is_written_and_written_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert folder.write(out, FIRST, overwrite=False).written == ("a.yaml", "templates/b.yaml")
    assert folder.write(out, FIRST, overwrite=False) == folder.Written((), ())
    (out / "mine.yaml").write_text("mine: true\n")
    changed = folder.write(out, {"a.yaml": "a: 2\n"}, overwrite=False)
    assert changed == folder.Written(("a.yaml",), ("templates/b.yaml",))
    assert (out / "mine.yaml").exists()
    assert not (out / "templates" / "b.yaml").exists()


@pytest.mark.parametrize("change", ["edit", "remove"])
def test_what_was_changed_by_hand_is_not_written_over(tmp_path: Path, change: str) -> None:
    folder.write(tmp_path, FIRST, overwrite=False)
    mine = tmp_path / "a.yaml"
    mine.write_text("a: mine\n") if change == "edit" else mine.unlink()
    with pytest.raises(ConflictError, match=r"a\.yaml was changed") as caught:
        folder.write(tmp_path, {"a.yaml": "a: 2\n"}, overwrite=False)
    assert caught.value.code == "export.changed"
    assert (tmp_path / "templates" / "b.yaml").exists()
    folder.write(tmp_path, {"a.yaml": "a: 2\n"}, overwrite=True)
    assert mine.read_text() == "a: 2\n"


def test_a_file_that_no_export_wrote_stays(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("mine\n")
    with pytest.raises(ConflictError, match="no export wrote it"):
        folder.write(tmp_path, FIRST, overwrite=False)
    assert (tmp_path / "a.yaml").read_text() == "mine\n"


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(ClocheError, match="no folder"):
        folder.check(path, overwrite=True)
    (tmp_path / folder.RECORD).write_text("{")
    with pytest.raises(ClocheError, match="cannot be read"):
        folder.check(tmp_path, overwrite=False)


@pytest.mark.parametrize("path", ["../mine.yaml", "sub/../../mine.yaml", "/etc/mine.yaml"])
def test_a_record_that_leads_out_of_the_folder_removes_nothing(tmp_path: Path, path: str) -> None:
    mine, out = tmp_path / "mine.yaml", tmp_path / "out"
    out.mkdir()
    mine.write_text("mine\n")
    record = {"files": {path: digest_of(mine.read_bytes())}}
    (out / folder.RECORD).write_text(json.dumps(record))
    with pytest.raises(ClocheError, match="leads out of the folder"):
        folder.write(out, FIRST, overwrite=True)
    assert mine.exists()
    assert not (out / "a.yaml").exists()
