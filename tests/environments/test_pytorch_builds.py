"""PyTorch in its build for CPUs: from a mirror, from its own index, or not at all."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import package_index
import pytest
import tunnel
import wheels
from package_index import PackageIndex
from wheels import PYTHON

import finished_repository
from cloche import environments, pipeline
from cloche.environments import pytorch
from cloche.errors import ClocheError
from cloche.progress import SilentProgress
from cloche.settings import PYTORCH_INDEX
from cloche.store import Store
from fixtures.certificates import certificate

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import Finding, Lock

NOBODY = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Indexes:
    """A package index with PyTorch for CUDA, and a mirror with its builds for CPUs."""

    folder: Path
    packages: PackageIndex
    mirror: PackageIndex

    def lock(self, *lines: str, mirror: str = PYTORCH_INDEX, **variables: str) -> Lock:
        return environments.lock(
            lines, PYTHON, store=Store(self.folder / "store", 2**30),
            progress=SilentProgress(), environment=self.environment(**variables),
            pytorch_index=mirror,
        )  # fmt: skip

    def environment(self, **variables: str) -> dict[str, str]:
        own = {
            "UV_DEFAULT_INDEX": self.packages.url,
            "UV_CACHE_DIR": str(self.folder / "cache"),
            "HTTPS_PROXY": NOBODY,  # where PyTorch's own index is not reached
        }
        return {**os.environ, **own, **variables}


@pytest.fixture
def indexes(tmp_path: Path) -> Iterator[Indexes]:
    packages, mirror = tmp_path / "packages", tmp_path / "mirror"
    wheels.index(packages)
    mirror.mkdir()
    wheels.write(packages, "triton", "3.9")
    for version in ("2.14.0", "2.15.0"):
        wheels.write(packages, "torch", version, "nvidia-cublas-cu12, triton")
        wheels.write(packages, "torchvision", f"0.{version[2:]}", f"torch=={version}")
    wheels.write(packages, "nvidia-cublas-cu12", "12.6")
    wheels.write(packages, "sentence-transformers", "6.0", "torch>=2")
    wheels.write(mirror, "torch", "2.14.0+cpu", "leaf")
    wheels.write(mirror, "torchvision", "0.14.0+cpu", "torch==2.14.0")
    # A mirror has other packages as well, which are not for it to give.
    wheels.write(mirror, "leaf", "9.0")
    with ExitStack() as stack:
        served = [stack.enter_context(package_index.serving(each)) for each in (packages, mirror)]
        yield Indexes(tmp_path, *served)


def the_finding(lock: Lock, code: str) -> Finding:
    """Return the finding of a code, of which there is one."""
    (finding,) = [each for each in lock.findings if each.code == code]
    return finding


def test_a_mirror_gives_pytorch_and_nothing_else(indexes: Indexes) -> None:
    mirror = indexes.mirror.url
    lock = indexes.lock("sentence-transformers", "torchvision", mirror=mirror)
    for line in ("torch==2.14.0+cpu", "torchvision==0.14.0+cpu", "leaf==2.0"):
        assert line in lock.text
    assert "nvidia" not in lock.text
    assert indexes.mirror.asked_for == {"torch", "torchvision"}
    assert lock.sizes.keys() == set(lock.packages)
    assert "torch==2.14.0+cpu" in the_finding(lock, "environment.pytorch_build").what
    folder = environments.materialize(
        lock, indexes.folder / "made", SilentProgress(), environment=indexes.environment()
    )
    program = "import torch, torchvision, leaf; print(torch.VERSION, leaf.VERSION)"
    made = subprocess.run(
        [folder / "bin" / "python", "-c", program], capture_output=True, text=True, check=True
    )
    assert made.stdout == "2.14.0+cpu 2.0\n"
    assert indexes.mirror.asked_for == {"torch", "torchvision"}


def test_a_lock_without_pytorch_is_the_same_with_a_mirror(indexes: Indexes) -> None:
    lock = indexes.lock("branch")
    mirrored = indexes.lock("branch", mirror=indexes.mirror.url)
    assert (lock.digest, lock.findings) == (mirrored.digest, ())
    assert indexes.mirror.asked_for == set()


def test_where_pytorchs_index_is_not_reached_its_build_for_cuda_serves(indexes: Indexes) -> None:
    lock = indexes.lock("torch")
    assert "torch==2.15.0 " in lock.text
    assert "nvidia-cublas-cu12==12.6" in lock.text
    said = the_finding(lock, "environment.cuda_build")
    assert "was not reached" in said.what
    assert "KiB to download" in said.what
    assert "CLOCHE_ENVIRONMENTS_PYTORCH_INDEX" in str(said.hint)
    # The model keeps its lock, and gets another one when the user names a mirror.
    assert indexes.lock("torch") == lock
    assert "torch==2.14.0+cpu" in indexes.lock("torch", mirror=indexes.mirror.url).text


def test_a_mirror_that_does_not_answer_is_an_error(indexes: Indexes) -> None:
    with pytest.raises(ClocheError) as caught:
        indexes.lock("torch", mirror=f"{NOBODY}/whl/cpu", UV_HTTP_RETRIES="0")
    assert caught.value.code == "environment.network"
    assert caught.value.retriable


def test_a_mirror_without_the_version_leaves_the_build_for_cuda(indexes: Indexes) -> None:
    lock = indexes.lock("torch==2.15.0", mirror=indexes.mirror.url)
    assert "torch==2.15.0 " in lock.text
    said = the_finding(lock, "environment.cuda_build").what
    assert "there is no version of torch==2.15.0" in said


@pytest.mark.parametrize("mirrored", [True, False])
def test_another_build_of_the_release_stands_in_for_that_of_a_gpu(
    indexes: Indexes, mirrored: bool
) -> None:
    asked = ("torch==2.14.0+cu126  # conda.yaml: torch", "-c torchvision==0.14.0+cu126")
    lock = indexes.lock(*asked, mirror=indexes.mirror.url if mirrored else PYTORCH_INDEX)
    assert ("torch==2.14.0+cpu " if mirrored else "torch==2.14.0 ") in lock.text
    code = "environment.pytorch_build" if mirrored else "environment.cuda_build"
    assert "torch==2.14.0+cu126 was asked for" in the_finding(lock, code).what


def test_a_build_for_cpus_in_the_models_own_index_is_taken(indexes: Indexes) -> None:
    own = f"--extra-index-url {indexes.mirror.url}"
    lock = indexes.lock(own, "torch==2.14.0+cpu")
    assert "torch==2.14.0+cpu" in lock.text
    assert "--find-links" not in lock.text
    assert lock.findings == ()


@pytest.mark.parametrize("kind", ["KIND_GPU", "KIND_CPU"])
def test_a_repository_for_a_gpu_keeps_the_build_for_cuda_and_all_of_it(
    indexes: Indexes, kind: str
) -> None:
    wheels.write(indexes.packages.folder, "numpy", "2.5")
    store = Store(indexes.folder / "store", 2**30)
    config = f"{finished_repository.PYTHON}instance_group {{ kind: {kind} }}\n"
    files = {"m/config.pbtxt": config, "m/1/model.py": "", "m/requirements.txt": "torch\n"}
    facts = finished_repository.facts_of(store, files)
    lock = pipeline.lock(
        facts, store=store, progress=SilentProgress(), environment=indexes.environment(),
        pytorch_index=indexes.mirror.url,
    )  # fmt: skip
    assert lock is not None
    if kind == "KIND_CPU":
        assert lock.packages == ("leaf", "numpy", "torch")
    else:
        assert lock.packages == ("numpy", "nvidia-cublas-cu12", "torch", "triton")
        assert lock.findings == ()


def test_recorded_digests_count_for_pytorch_as_well(indexes: Indexes) -> None:
    digest = indexes.lock("torch").text.partition("torch==2.15.0")[2].split()[1]
    lock = indexes.lock(f"torch==2.15.0 {digest}", mirror=indexes.mirror.url)
    assert digest in lock.text
    assert "torch==2.15.0 " in lock.text


@pytest.fixture
def reached(indexes: Indexes, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Variables with which PyTorch's own index answers: a proxy has the mirror in its place."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    made = certificate(tmp_path / "tls", "download.pytorch.org")
    with package_index.running(tunnel.Proxy(indexes.mirror.folder, made.context)) as proxy:
        yield {"HTTPS_PROXY": proxy.url, "SSL_CERT_FILE": str(made.authority)}
        assert proxy.asked_for == {"torch"}


def test_pytorchs_own_index_is_used_where_it_is_reached(
    indexes: Indexes, reached: dict[str, str]
) -> None:
    lock = indexes.lock("sentence-transformers", **reached)
    assert "torch==2.14.0+cpu" in lock.text
    assert "--find-links https://download.pytorch.org/whl/cpu/torch/\n" in lock.text
    assert "leaf==2.0" in lock.text
    # The lock says where its builds are, whatever a user chooses for the next one.
    environment = indexes.environment(UV_TORCH_BACKEND="cu126", **reached)
    folder = environments.materialize(
        lock, indexes.folder / "made", SilentProgress(), environment=environment
    )
    assert list(folder.glob("lib/*/site-packages/torch-2.14.0+cpu.dist-info"))


def test_the_backend_that_a_user_chose_is_kept(indexes: Indexes, reached: dict[str, str]) -> None:
    asked = ("torch", "xgboost")
    wheels.write(indexes.packages.folder, "nvidia-nccl-cu12", "2.3")
    wheels.write(indexes.packages.folder, "xgboost", "3.2", "nvidia-nccl-cu12")
    chosen = indexes.lock(*asked, UV_TORCH_BACKEND="cu126", mirror=indexes.mirror.url, **reached)
    assert "nvidia-nccl-cu12" in chosen.packages
    assert "--find-links https://download.pytorch.org/whl/cu126/torch/\n" in chosen.text
    on_cpus = indexes.lock(*asked, UV_TORCH_BACKEND="cpu", **reached)
    assert "nvidia-nccl-cu12" not in on_cpus.packages
    assert indexes.mirror.asked_for == set()


def test_that_pytorchs_index_is_not_reached_is_not_believed_for_long(
    indexes: Indexes, reached: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    indexes.lock("torch==2.14.0")
    believed = indexes.lock("torch==2.14.*", **reached)
    assert "was not reached" in the_finding(believed, "environment.cuda_build").what
    monkeypatch.setattr(pytorch, "_BELIEVED_SECONDS", 0.0)
    assert "torch==2.14.0+cpu" in indexes.lock("torch<2.15", **reached).text
