"""What is left out of an environment on CPUs, and what stays."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
import wheels
from wheels import PYTHON

from cloche import environments
from cloche.environments import needless, pins
from cloche.progress import SilentProgress
from cloche.store import Store

if TYPE_CHECKING:
    from pathlib import Path

HASH = "    --hash=sha256:" + "0" * 64


def compiled(**asked_by: str) -> str:
    """Return the lines of uv for packages of version 1, each with who asks for it."""
    return "".join(
        f"{name.replace('_', '-')}==1 \\\n{HASH}\n    # via {asking}\n"
        for name, asking in asked_by.items()
    )


@pytest.mark.parametrize(
    ("lines", "gone"),
    [
        # XGBoost does without NCCL, PyTorch's build for CUDA does not.
        ({"xgboost": "-r requirements.in", "nvidia_nccl_cu12": "xgboost"}, {"nvidia-nccl-cu12"}),
        ({"xgboost": "mlflow", "nvidia_nccl_cu12": "xgboost, -r requirements.in"},
         {"nvidia-nccl-cu12"}),
        ({"torch": "-r requirements.in", "xgboost": "-r requirements.in",
          "nvidia_nccl_cu12": "torch, xgboost"}, set()),
        # PyTorch does without its compiler for GPUs, others may not.
        ({"torch": "-r requirements.in", "triton": "torch", "nvidia_nvtx": "torch"}, {"triton"}),
        ({"torch": "vllm", "vllm": "-r requirements.in", "triton": "torch, vllm"}, set()),
        # What is asked for by the model alone stays.
        ({"triton": "-r requirements.in"}, set()),
        ({"nvidia_nccl_cu12": "-r requirements.in"}, set()),
    ],
)  # fmt: skip
def test_a_package_goes_if_all_that_ask_for_it_do_without(
    lines: dict[str, str], gone: set[str]
) -> None:
    assert needless.left_out(pins.parse(compiled(**lines), {})).keys() == gone


def test_a_list_from_a_machine_with_a_gpu_loses_cuda_if_pytorch_is_for_cpus() -> None:
    frozen = {
        "nvidia_cublas_cu12": "nvidia-cusolver-cu12, -r requirements.in",
        "nvidia_cudnn_cu12": "-r requirements.in",
        "nvidia_cusolver_cu12": "-r requirements.in",
        "nvidia_cuda_runtime": "-r requirements.in",
        "nvidia_ml_py": "-r requirements.in",
        "triton": "-r requirements.in",
        "cupy": "-r requirements.in",
        "nvidia_cufft": "cupy, -r requirements.in",
    }
    for_cpus = compiled(**frozen) + f"torch==1+cpu \\\n{HASH}\n    # via -r requirements.in\n"
    reasons = needless.left_out(pins.parse(for_cpus, {}))
    assert reasons.keys() == {
        "nvidia-cublas-cu12", "nvidia-cudnn-cu12", "nvidia-cusolver-cu12", "nvidia-cuda-runtime",
        "triton",
    }  # fmt: skip
    assert needless.left_out(pins.parse(compiled(**frozen), {})) == {}


def test_what_is_left_out_is_told_with_its_size() -> None:
    said = needless.finding({"a": "x", "b": "x", "c": "y"}, {"a": 1024, "c": 2048, "d": 4096})
    assert said.what.endswith("which saves 3.0 KiB: a, b (x); c (y).")


def test_an_environment_is_made_without_it(tmp_path: Path) -> None:
    environment = {**os.environ, **wheels.index(tmp_path / "index")}
    wheels.write(tmp_path / "index", "nvidia-nccl-cu12", "2.0")
    wheels.write(tmp_path / "index", "xgboost", "3.0", "nvidia-nccl-cu12")
    lock = environments.lock(
        ("xgboost", "leaf"), PYTHON, store=Store(tmp_path / "store", 2**30),
        progress=SilentProgress(), environment=environment,
    )  # fmt: skip
    assert lock.packages == ("leaf", "xgboost")
    (finding,) = lock.findings
    assert finding.code == "environment.left_out"
    assert "nvidia-nccl-cu12" in finding.what
    folder = environments.materialize(
        lock, tmp_path / "made", SilentProgress(), environment=environment
    )
    names = "'nvidia_nccl_cu12', 'xgboost'"
    program = f"import importlib.util as u; print(*map(u.find_spec, [{names}]))"
    printed = subprocess.run(
        [folder / "bin" / "python", "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed.startswith("None ModuleSpec(")
