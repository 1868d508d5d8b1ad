"""Models of a Hugging Face Hub from a reference to an answer, by the command line."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import pytest

from fixtures.command_line import User, a_user, finished, scaled_maximum
from fixtures.hub import TOKEN, LocalHub

CARD = b"""---
license: apache-2.0
pipeline_tag: text-classification
model-index:
- name: net
  results:
  - dataset: {name: SST-2}
    metrics: [{type: accuracy, value: 0.912}]
---
"""
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with a_user() as one:
        yield one


def files_under(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*") if path.is_file()
    }  # fmt: skip


def test_a_private_onnx_export_is_deployed_and_updated(
    user: User, hub: LocalHub, tmp_path: Path
) -> None:
    other = {"README.md": CARD, "config.json": b"{}", "model.safetensors": b"not needed"}
    model = scaled_maximum(tmp_path / "model.onnx", 1).read_bytes()
    repository = hub.add("org/My_Net", {**other, "onnx/model.onnx": model}, private=True)
    reader = hub.environment(HF_TOKEN=TOKEN)
    shown = user.run("inspect", "hf://org/My_Net", **reader).expect(0).out
    assert "licence   apache-2.0" in shown
    assert "task      text-classification" in shown
    assert "metrics   accuracy on SST-2 0.912" in shown
    assert "chosen    onnx/model.onnx (ONNX) and 1 file of settings" in shown
    deployed = user.run("deploy", "hf://org/My_Net", "--json", **reader).expect(0).json
    assert (deployed["service"], deployed["model"]["source"]) == ("my-net", "huggingface")
    again = user.run("deploy", "hf://org/My_Net@main", **reader).expect(0).out
    assert "Nothing changed: my-net is at revision 1 (live)." in again
    again = user.run("deploy", "hf://org/My_Net", **reader, HF_HUB_OFFLINE="1").expect(0).out
    assert "Nothing changed" in again

    second = scaled_maximum(tmp_path / "model.onnx", 2).read_bytes()
    repository.push({**other, "onnx/model.onnx": second})
    assert (
        "a new revision would take over"
        in user.run("plan", "hf://org/My_Net", **reader).expect(0).out
    )
    deployed = user.run("deploy", "hf://org/My_Net", "--json", **reader).expect(0).json
    assert (deployed["revision"], deployed["from"]) == (2, 1)
    given = tmp_path / "request.json"
    given.write_text('{"x": [[1, 3, 2]]}')
    assert "[[6.]]" in user.run("infer", "my-net", "--input", given).expect(0).out
    for path in user.home.rglob("*"):
        if path.is_file() and not path.is_relative_to(user.home / "servers"):
            assert TOKEN.encode() not in path.read_bytes(), path


def test_a_finished_repository_is_deployed(user: User, hub: LocalHub, tmp_path: Path) -> None:
    hub.add("org/doubled", {"README.md": CARD, **files_under(finished(tmp_path, "net", "x * 2"))})
    done = user.run("deploy", "hf://org/doubled", "--json", **hub.environment()).expect(0)
    assert done.json["model"]["format"] == "triton"


def test_a_folder_saved_by_mlflow_is_deployed(user: User, hub: LocalHub, tmp_path: Path) -> None:
    model = scaled_maximum(tmp_path / "model.onnx", 1).read_bytes()
    saved = {"MLmodel": b"flavors: {onnx: {data: model.onnx}}\n", "model.onnx": model}
    hub.add("org/saved", {"README.md": CARD, **saved})
    done = user.run("deploy", "hf://org/saved", "--json", **hub.environment()).expect(0)
    assert done.json["model"]["format"] == "mlflow"


def test_a_real_models_folder_is_deployed(user: User, hub: LocalHub) -> None:
    """The folder that the package magika carries, as its authors publish it."""
    try:
        listed = files("magika") or []
    except PackageNotFoundError:
        pytest.skip("needs magika: uv sync --group packages")
    [model] = [Path(str(path.locate())) for path in listed if path.suffix == ".onnx"]
    hub.add("google/magika", {"README.md": CARD, **files_under(model.parent)})
    hub.cut["model.onnx"] = [500_000]
    done = user.run("deploy", "hf://google/magika", "--json", **hub.environment()).expect(0)
    assert done.json["service"] == "magika"
    assert done.json["verification"]["judge"] == "reference"
