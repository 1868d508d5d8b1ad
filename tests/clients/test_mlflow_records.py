from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cloche.clients.mlflow import Address, connect
from cloche.clients.mlflow.registry import finite, no_model, no_version
from cloche.errors import ClocheError


def test_metrics_that_json_cannot_carry_are_left_out() -> None:
    metrics = [("a", 1.0), ("b", float("nan")), ("c", "NaN"), ("d", "-Infinity"), ("e", "2")]
    assert finite(metrics) == {"a": 1.0, "e": 2.0}


def test_long_lists_are_cut() -> None:
    error = no_version("digits", "99", [str(number) for number in range(1, 31)], "here")
    assert error.hint == "It has 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 20 more."


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        (["digits", "faces"], "Did you mean 'digits'?"),
        (["faces", "cars"], "Registered are faces, cars."),
        ([], "No model is registered there"),
    ],
)
def test_an_unknown_name_says_which_are_known(names: list[str], hint: str) -> None:
    assert (no_model("digit", names, "here").hint or "").startswith(hint)


def test_a_file_that_is_not_a_database_of_mlflow(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database, but some text that is long enough")
    with closing(sqlite3.connect(tmp_path / "other.db")) as database:
        database.execute("CREATE TABLE things (name TEXT)")
    (tmp_path / "empty").mkdir()
    for path, kind, code in [
        (tmp_path / "text.db", "sqlite", "mlflow.not_mlflow"),
        (tmp_path / "other.db", "sqlite", "mlflow.not_mlflow"),
        (tmp_path / "absent.db", "sqlite", "mlflow.uri.missing"),
        (tmp_path / "absent", "folder", "mlflow.uri.missing"),
        (tmp_path / "empty", "folder", "mlflow.model"),
    ]:
        with pytest.raises(ClocheError) as raised:
            connect(Address(str(path), kind, path)).version("digits", "1")
        assert raised.value.code == code
        assert raised.value.hint
    assert not (tmp_path / "absent.db").exists()


def test_a_record_that_is_not_yaml(tmp_path: Path) -> None:
    version = tmp_path / "models/digits/version-1"
    version.mkdir(parents=True)
    (version.parent / "meta.yaml").write_text("name: digits\n")
    (version / "meta.yaml").write_text("{")
    with pytest.raises(ClocheError) as raised:
        connect(Address(str(tmp_path), "folder", tmp_path)).version("digits", "1")
    assert raised.value.code == "mlflow.not_mlflow"
    assert raised.value.where == str(version / "meta.yaml")
