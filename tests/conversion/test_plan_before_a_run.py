"""`cloche plan` of a model that has not run: what is known, and what only a run tells."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from fixtures.command_line import User, a_user, scaled_maximum

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def user() -> Iterator[User]:
    with a_user() as one:
        yield one


def test_nothing_runs_and_nothing_is_installed_for_a_plan(user: User) -> None:
    model = scaled_maximum(user.folder / "model.onnx", 2)
    done = user.run("plan", model, "--json").expect(0)
    planned = done.json
    assert done.err == ""  # such as the progress of a run
    assert planned["undetermined"] == ["config.max_batch_size", "repository.digest"]
    after = {change["field"]: change["after"] for change in planned["changes"]}
    assert after["repository.digest"] == "known after verification"
    assert "max_batch_size" not in {reason["field"] for reason in planned["reasons"]}
    text = user.run("plan", model).expect(0).out
    assert "cloche plan --convert" in text
    found_out = user.run("plan", model, "--convert", "--json").expect(0).json
    assert found_out["undetermined"] == []
    assert "max_batch_size" in {reason["field"] for reason in found_out["reasons"]}
    # What it told is remembered.
    assert user.run("plan", model, "--json").expect(0).json == found_out


def test_a_model_that_has_to_be_loaded_is_planned_without_its_environment(user: User) -> None:
    pickled = user.folder / "model.pkl"
    pickled.write_bytes(b"\x80\x02csklearn.linear_model._base\nLinearRegression\n)\x81.")
    spec = {
        "name": "rent",
        "model": "./model.pkl",
        "requirements": ["scikit-learn==1.7.2"],
        "python": f"3.{sys.version_info.minor}",
    }
    (user.folder / "cloche.yaml").write_text(json.dumps(spec))
    done = user.run("plan", "--json")
    if done.code and done.json["error"]["code"] == "environment.network":
        pytest.skip("needs a package index")
    planned = done.expect(0).json
    assert planned["undetermined"] == [
        "interface", "config.backend", "config.max_batch_size", "repository.digest",
    ]  # fmt: skip
    assert [each["python"] for each in planned["environments"]] == [spec["python"]]
    assert planned["reasons"] == []
    assert {line.split(" ")[0] for line in done.err.splitlines()} <= {"Resolving"}


def test_what_is_wrong_without_a_run_is_refused_in_a_plan(user: User) -> None:
    scaled_maximum(user.folder / "model.onnx", 2)
    (user.folder / "labels.txt").write_text("ant\nbee\n")
    spec = {"name": "peak", "model": "./model.onnx", "labels": "labels.txt"}
    (user.folder / "cloche.yaml").write_text(json.dumps(spec))
    refused = user.run("plan", "--json").expect(2).json["error"]
    assert refused["code"] == "repository.labels"
