"""The hub of the tests, asked by the hub's own client: it speaks the protocol that people use."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cloche.pipeline import resolve
from cloche.progress import SilentProgress
from cloche.store import Store
from fixtures.cache import cache_folder
from fixtures.hub import STRANGER, TOKEN, LocalHub

REQUIREMENT = "huggingface_hub==2.4.0"
FILES = {
    "README.md": b"---\nlicense: mit\n---\n", "config.json": b"{}", "onnx/model.onnx": b"\x08\x09",
    "model.safetensors": b"weights" * 1000, "deep/er/\xc3\xa9.txt".encode().decode(): b"text",
}  # fmt: skip
ASK = """
import json, sys
import huggingface_hub
try:
    print(json.dumps(huggingface_hub.snapshot_download(sys.argv[1], revision=sys.argv[2])))
except Exception as error:
    print(json.dumps(type(error).__name__))
"""


@pytest.fixture(scope="session")
def python() -> Path:
    """The interpreter of an environment with the hub's own client, made once."""
    cache = cache_folder()
    folder = cache / f"hub-{REQUIREMENT.partition('==')[2]}"
    program, whole = folder / "bin/python", folder / "whole"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "hub.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _install(folder, program)
            whole.touch()
    return program


def _install(folder: Path, program: Path) -> None:
    from uv import find_uv_bin

    uv = find_uv_bin()
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "--quiet", "--python", str(program), REQUIREMENT],
    ):
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            pytest.skip(f"needs huggingface_hub, which uv cannot install: {done.stderr[-300:]}")


def download(python: Path, hub: LocalHub, home: Path, name: str, *more: str, **given: str) -> str:
    """Return the folder of `snapshot_download`, or the name of its error."""
    done = subprocess.run(
        [python, "-c", ASK, name, *(more or ("main",))],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "HF_ENDPOINT": hub.url, **given},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return str(json.loads(done.stdout.splitlines()[-1]))


def test_the_hubs_client_gets_a_repository(python: Path, hub: LocalHub, tmp_path: Path) -> None:
    hub.add("org/net", FILES, private=True)
    hub.page_size = 2
    folder = Path(download(python, hub, tmp_path, "org/net", HF_TOKEN=TOKEN))
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*") if path.is_file()
    }  # fmt: skip
    assert found == FILES
    assert {one.token for one in hub.asked if one.host == "localhost"} == {None}


def test_the_hubs_client_sees_the_same_refusals(
    python: Path, hub: LocalHub, tmp_path: Path
) -> None:
    hub.add("org/private", FILES, private=True)
    hub.add("org/gated", FILES, gated=True)
    for name, revision, token, error in [
        ("org/none", "main", None, "RepositoryNotFoundError"),
        ("org/private", "main", STRANGER, "RepositoryNotFoundError"),
        ("org/private", "v9", TOKEN, "RevisionNotFoundError"),
        ("org/gated", "main", None, "GatedRepoError"),
    ]:
        given = {"HF_TOKEN": token} if token else {}
        assert download(python, hub, tmp_path, name, revision, **given) == error


def test_its_cache_is_enough_offline(python: Path, hub: LocalHub, tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph).SerializeToString()
    commit = hub.add("org/net", {**FILES, "onnx/model.onnx": model}).revisions["main"]
    download(python, hub, tmp_path, "org/net")
    hub.asked.clear()
    snapshot = resolve(
        "hf://org/net", directory=tmp_path, store=Store(tmp_path / "store"),
        progress=SilentProgress(),
        environment=hub.environment(
            HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / ".cache/huggingface")
        ),
    )  # fmt: skip
    assert (snapshot.version, snapshot.metadata.tags) == (commit, {"license": "mit"})
    assert hub.asked == []
