"""`cloche image build` where nothing changed: it is answered by what it answered before."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import tiny_base

from cloche.cli.image import making
from cloche.clients.oci.registry import Registry
from cloche.store.states import UnsettledError, state_beside, state_of
from fixtures.commands import Outcome
from fixtures.registries import nobody
from formats.onnx_models import mlp

Build = Callable[..., tuple[dict[str, Any], bool]]


def settle(path: Path) -> None:
    """Wait until a write to a file is sure to change its `stat`; it is a tick of the clock."""
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        try:
            state_of(path)
        except UnsettledError:
            time.sleep(0.01)
        else:
            return
    raise AssertionError(f"{path} never settles")


@pytest.fixture
def build(
    run: Callable[..., Outcome], tmp_path: Path, with_server: None, monkeypatch: pytest.MonkeyPatch
) -> Build:
    """Build an image; return what is told of it, and whether it was made."""
    onnx.save(mlp(), tmp_path / "scores.onnx")
    tiny_base.layout(tmp_path / "base")
    made: list[object] = []
    really = making.run

    def counted(*words: Any) -> dict[str, Any]:
        made.append(words)
        return really(*words)

    monkeypatch.setattr(making, "run", counted)

    def build(*words: str) -> tuple[dict[str, Any], bool]:
        for path in (tmp_path / "scores.onnx", tmp_path / "base" / "index.json"):
            settle(path)
        made.clear()
        report = run("image", "build", "--base", "./base", *words, "--json").expect(0).json
        return report, bool(made)

    return build


def test_nothing_is_made_again_in_a_folder(build: Build, tmp_path: Path) -> None:
    words = ("scores.onnx", "--output", "out")
    first, _ = build(*words)
    # What lay beside the model was another thing before the folder was there.
    build(*words)
    assert build(*words) == (first, False)
    assert build(*words, "--no-golden")[1]
    assert build(*words)[1], "the index of the folder is another one now"
    assert not build(*words)[1]
    blob = tmp_path / "out" / "blobs" / first["layers"][-1]["digest"].replace(":", "/")
    blob.unlink()
    assert build(*words)[1]
    assert blob.is_file()
    assert not build(*words)[1]


@pytest.mark.parametrize("what", ["model", "beside", "base", "setting"])
def test_what_it_follows_from_is_another(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    words = ("scores.onnx", "--output", str(tmp_path / "home" / "out"))
    first, _ = build(*words)
    assert not build(*words)[1]
    if what == "model":
        os.utime(tmp_path / "scores.onnx")
    elif what == "beside":
        (tmp_path / "config.json").write_text("{}")
        settle(tmp_path / "config.json")
    elif what == "base":
        os.utime(tmp_path / "base" / "index.json")
    else:
        monkeypatch.setenv("UV_TORCH_BACKEND", "cpu")
    assert build(*words) == (first, True)
    assert build(*words) == (first, False)


def test_a_cloche_yaml_and_what_it_names(build: Build, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("\n".join(f"class {number}" for number in range(10)))
    file = tmp_path / "cloche.yaml"
    file.write_text("model: scores.onnx\nlabels: labels.txt\n")
    settle(file)
    words = ("--output", str(tmp_path / "home" / "out"))
    first, _ = build(*words)
    assert build(*words) == (first, False)
    file.write_text("model: scores.onnx\nname: other\nlabels: labels.txt\n")
    settle(file)
    other, was_made = build(*words)
    assert was_made
    assert other["digest"] != first["digest"]
    (tmp_path / "labels.txt").write_text("\n".join(f"kind {number}" for number in range(10)))
    settle(tmp_path / "labels.txt")
    assert build(*words)[1]


def test_nothing_is_sent_again_to_a_registry(build: Build, open_registry: str) -> None:
    name = f"t{uuid.uuid4().hex[:12]}/scores"
    words = ("scores.onnx", "--push", "--tag", f"{open_registry}/{name}:1")
    first, _ = build(*words)
    assert build(*words) == (first, False)
    other = (*words[:-1], f"{open_registry}/{name}:2")
    assert build(*other)[1], "another tag is another place"
    with Registry(open_registry, environment=nobody()) as registry:
        pushed = registry.manifest(name, "1")
        bare, _ = build(*other, "--no-golden")
        elsewhere = registry.manifest(name, "2")
        registry.put_manifest(name, "1", elsewhere.data, elsewhere.media_type)
        assert build(*words) == (first, True), "the tag names another image"
        assert registry.manifest(name, "1").digest == pushed.digest != bare["digest"]


def test_a_written_file_is_not_settled_at_once(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"1")
    with pytest.raises(UnsettledError):
        state_of(path)
    settle(path)
    before, beside = state_of(path), state_beside(path)
    (tmp_path / "folder").mkdir()
    assert state_of(path) == before
    assert state_beside(path) != beside


def test_names_that_are_not_text_have_a_state(tmp_path: Path) -> None:
    model = tmp_path / "model.bin"
    for path in (model, tmp_path / os.fsdecode(b"caf\xe9")):
        path.touch()
        settle(path)
    assert state_beside(model) == state_beside(model)


def test_what_a_link_leads_to_is_not_followed_out_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "link").symlink_to(tmp_path)
    with pytest.raises(UnsettledError):
        state_of(tmp_path / "model")
    assert state_of(tmp_path / "absent") == state_of(tmp_path / "absent")
