"""Bases for GPUs, and models that would not use one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cloche.artifacts import Gpu, ModelFormat, Resources, Served
from cloche.errors import ClocheError
from cloche.images import platforms
from cloche.images.bases import base as bases
from cloche.nvidia import Cuda, Software
from cloche.pipeline import gpu_release
from cloche.testing import deployment
from fixtures import gpu_base


@pytest.mark.parametrize(
    ("release", "cuda", "software"),
    [
        ("26.07", "13.3.1", Software(Cuda(13, 3), "26.07")),
        ("26.07", None, Software(None, "26.07")),
        (None, "12.6", Software(Cuda(12, 6))),
    ],
)
def test_a_base_says_what_it_brings(
    tmp_path: Path, release: str | None, cuda: str | None, software: Software
) -> None:
    found = bases.read(str(gpu_base.write(tmp_path / "base", release, cuda)), platforms.here())
    assert gpu_release.software_of(found) == software
    gpu_release.require_cuda(found, "base")  # who says nothing of CUDA may have it


def test_a_base_that_says_what_it_holds_and_has_no_cuda(tmp_path: Path) -> None:
    found = bases.read(str(gpu_base.write(tmp_path / "base", None, None)), platforms.here())
    config = {**found.config, "config": {"Labels": {bases.TRITON_LABEL: "24.10"}}}
    own = replace(found, config=config, software=bases.software(config))
    with pytest.raises(ClocheError, match="no CUDA") as caught:
        gpu_release.require_cuda(own, "cpu")
    assert caught.value.code == "image.base.cuda"


@pytest.mark.parametrize(
    ("backend", "form", "gpu", "is_idle"),
    [
        ("python", ModelFormat.SKLEARN, Gpu(), True),
        ("python", ModelFormat.SKLEARN, None, False),
        ("python", ModelFormat.TRITON, Gpu(), False),
        ("onnxruntime", ModelFormat.ONNX, Gpu(), False),
    ],
)
def test_a_model_that_would_leave_its_gpu_idle(
    backend: str, form: ModelFormat, gpu: Gpu | None, is_idle: bool
) -> None:
    made = deployment()
    main = replace(made.main, snapshot=replace(made.main.snapshot, format=form))
    member = replace(made.repository.main, backend=backend)
    repository = replace(made.repository, members=(member,))
    served = Served(resources=Resources(gpu=gpu))
    asked = replace(made, members=(main,), repository=repository, served=served)
    found = list(gpu_release.idle(asked))
    assert [each.code for each in found] == ["target.kubernetes.gpu_idle"] * is_idle
