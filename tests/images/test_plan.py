"""The digest of an image before it is made."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import tiny_base

from cloche.artifacts import Deployment
from cloche.images.bases.base import Base
from cloche.pipeline import image_plan
from cloche.pipeline.image import write_image
from cloche.progress import SilentProgress
from cloche.settings import Settings
from formats.onnx_models import mlp


@pytest.fixture
def digest(deployment: Deployment, base: Base, settings: Settings):
    return lambda on=base: image_plan.digest_of(deployment, on, settings=settings)


def test_it_is_known_once_its_layers_were_made(tmp_path, digest, deployment, base, settings):
    assert digest() is None
    made = write_image(
        deployment, [base], tmp_path / "out", settings=settings, progress=SilentProgress()
    )  # fmt: skip
    assert digest() == made.digest
    other = Base(base.config, base.layers, base.platform, base.software, {"a": "b"})
    assert digest(other) != made.digest, "another base gives another image of the same layers"


@pytest.mark.usefixtures("with_server")
def test_plan_names_it(run, tmp_path: Path):
    onnx.save(mlp(), tmp_path / "scores.onnx")
    words = ("scores.onnx", "--base", "./base", "--json")
    tiny_base.layout(tmp_path / "base")
    planned = run("plan", *words).expect(0).json["image"]
    assert (planned["base"], planned["digest"]) == ("./base", None)
    assert "known after build" in run("plan", *words[:-1]).expect(0).out
    built = run("image", "build", *words[:-1], "--output", "out", "--json").expect(0).json
    assert run("plan", *words).expect(0).json["image"]["digest"] == built["digest"]
    assert built["digest"] in run("plan", *words[:-1]).expect(0).out
    assert "image" not in run("plan", "scores.onnx", "--json").expect(0).json
