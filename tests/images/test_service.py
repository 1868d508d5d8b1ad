"""The image of a service by its name: what was recorded, not what the model is now."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_base

from cloche import composition
from cloche.artifacts import Deployment, Operated, Revision, ServiceRecord

BASE = ("--base", "./base", "--output", "out", "--json")


@pytest.fixture
def recorded(tmp_path: Path, settings, deployment: Deployment):
    """Record revisions of a service in the home, of which the first is live."""
    tiny_base.layout(tmp_path / "base")
    second = replace(deployment, golden=None, name_is_derived=True)
    with closing(composition.state(settings)) as state:
        for number, each in enumerate((deployment, second), 1):
            state.add_revision(
                Revision("digits", number, each.digest, each, "2026-11-26T00:00:00Z")
            )
        state.put(ServiceRecord("digits", Operated(), live=1), expect=None)
    return deployment


def test_what_is_live_is_in_the_image(run, recorded, tmp_path):
    (tmp_path / "scores.onnx").unlink()
    built = run("image", "build", "digits", *BASE).expect(0).json
    assert built["annotations"]["cloche.repository.digest"] == recorded.repository.digest


def test_a_file_of_that_name_comes_first(run, recorded, tmp_path):
    (tmp_path / "digits").write_text("no model")
    failed = run("image", "build", "digits", *BASE).expect(1)
    assert json.loads(failed.out)["error"]["code"].startswith(("source.", "format."))


def test_a_name_of_nothing_is_taken_for_a_file(run, recorded):
    failed = run("image", "build", "other", *BASE).expect(1)
    assert json.loads(failed.out)["error"]["code"] == "source.files.missing"
