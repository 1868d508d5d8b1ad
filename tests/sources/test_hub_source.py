"""The source of Hugging Face repositories against a hub on this machine."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hub_user import refused, take

from cloche import composition
from cloche.artifacts.identity import are_versions_of_one, identity
from cloche.progress import SilentProgress, Task
from cloche.sources import ResolveContext, current
from cloche.store import Store
from fixtures.hub import STRANGER, TOKEN, LocalHub
from fixtures.hub_models import CARD, SETTINGS, WHOLE, net, tensors


class Steps(SilentProgress):
    """Notes the announced work, with its bytes."""

    def __init__(self) -> None:
        self.tasks: list[tuple[str, int | None]] = []

    @contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Task]:
        self.tasks.append((title, total))
        with super().task(title, total) as task:
            yield task


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home/store")


# ── what a reference becomes ──────────────────────────────────────────────────────────────────


def test_a_repository_is_pinned_by_commit_and_says_what_was_chosen(
    hub: LocalHub, store: Store
) -> None:
    commit = hub.add("org/Net", WHOLE).revisions["main"]
    progress = Steps()
    snapshot = take(store, "hf://org/Net", hub.environment(), progress)
    assert snapshot.pinned == f"hf://org/Net@{commit}"
    assert (snapshot.version, snapshot.source, snapshot.registry) == (
        commit, "huggingface", hub.url,
    )  # fmt: skip
    assert (snapshot.format, snapshot.entry) == ("onnx", "model.onnx")
    assert [file.path for file in snapshot.files] == ["model.onnx"]
    assert snapshot.metadata.tags == {"license": "mit", "pipeline_tag": "tabular-regression"}
    assert snapshot.metadata.choice is not None
    assert snapshot.metadata.choice.startswith("onnx/model.onnx (ONNX) and 2 files of settings")
    assert "left out: 1 file, 99 bytes (PyTorch)" in snapshot.metadata.choice
    # The size of all that is fetched is said before the first byte of it.
    needed = {"README.md", "config.json", "tokenizer.json", "onnx/model.onnx"}
    total = sum(len(WHOLE[path]) for path in needed)
    assert progress.tasks == [(f"Fetching onnx/model.onnx (ONNX) of {snapshot.pinned}", total)]
    assert set(hub.files_asked()) == needed


def test_every_form_of_reference(hub: LocalHub, store: Store) -> None:
    repository = hub.add("org/Net", WHOLE)
    first = repository.revisions["main"]
    repository.revisions["v1"] = first
    second = repository.push({**WHOLE, "onnx/model.onnx": net(2.0)})
    repository.revisions["refs/pr/1"] = repository.revisions["feature/x"] = second
    hub.add("gpt", WHOLE)
    for text, commit in {
        "hf://org/Net": second, "hf://org/Net@main": second, "hf://org/Net@v1": first,
        f"hf://org/Net@{first}": first, "hf://org/Net@refs/pr/1": second,
        "hf://org/Net@feature%2Fx": second, "hf://org/Net/": second,
    }.items():  # fmt: skip
        assert take(store, text, hub.environment()).pinned == f"hf://org/Net@{commit}"
    file = take(store, "hf://org/Net@v1/onnx/model.onnx", hub.environment())
    assert file.pinned == f"hf://org/Net@{first}/onnx/model.onnx"
    assert file.digest == take(store, "hf://org/Net@v1", hub.environment()).digest
    assert take(store, "hf://org/Net@v1/onnx", hub.environment()).digest == file.digest
    assert take(store, "hf://gpt", hub.environment()).pinned.startswith("hf://gpt@")


def test_revisions_are_versions_of_one_model(hub: LocalHub, store: Store) -> None:
    repository = hub.add("org/net", WHOLE)
    one = take(store, "hf://org/net", hub.environment())
    repository.push({"model.onnx": net(2.0)})
    other = take(store, "hf://org/net", hub.environment())
    assert one.digest != other.digest
    assert are_versions_of_one(one, other)
    assert identity(one) == ("huggingface", hub.url, "repository", "org/net")
    part = take(store, "hf://org/net/model.onnx", hub.environment())
    assert identity(part)[-1] == "org/net/model.onnx"


def test_a_new_card_is_no_new_model(hub: LocalHub, store: Store) -> None:
    repository = hub.add("org/net", WHOLE)
    one = take(store, "hf://org/net", hub.environment())
    repository.push({**WHOLE, "README.md": b"---\nlicense: apache-2.0\n---\n"})
    hub.asked.clear()
    other = take(store, "hf://org/net", hub.environment())
    assert one.digest == other.digest
    assert other.metadata.tags == {"license": "apache-2.0"}
    assert hub.files_asked() == ["README.md"]  # the rest is known by its digests


def test_a_renamed_repository_is_pinned_under_its_new_name(hub: LocalHub, store: Store) -> None:
    hub.add("org/net", WHOLE)
    hub.renamed["net"] = "org/net"
    assert take(store, "hf://net", hub.environment()).pinned.startswith("hf://org/net@")


def test_a_pinned_model_is_not_asked_for_again(hub: LocalHub, store: Store) -> None:
    hub.add("org/net", WHOLE)
    first = take(store, "hf://org/net", hub.environment())
    hub.asked.clear()
    take(store, "hf://org/net", hub.environment())
    assert len(hub.asked) == 1
    take(store, first.pinned, hub.environment())
    pinned = take(store, first.pinned, hub.environment())
    context = ResolveContext(Path(), hub.environment(), store, SilentProgress())
    assert current(first.pinned, composition.sources(), context).pinned == first.pinned
    assert pinned.digest == first.digest
    assert len(hub.asked) == 2  # the commit was asked for once, under its own digits


# ── what is in it ─────────────────────────────────────────────────────────────────────────────


def test_external_data_is_part_of_the_model(hub: LocalHub, store: Store, tmp_path: Path) -> None:
    model = net(3.0, tmp_path)
    data = (tmp_path / "model.onnx_data").read_bytes()
    hub.add("org/net", {"onnx/model.onnx": model, "onnx/model.onnx_data": data, **SETTINGS})
    snapshot = take(store, "hf://org/net", hub.environment())
    assert [file.path for file in snapshot.files] == ["model.onnx", "model.onnx_data"]
    hub.add("org/half", {"onnx/model.onnx": model})
    error = refused(store, "hf://org/half", hub.environment())
    assert error.code == "source.onnx.external_missing"
    assert str(error.where).startswith("hf://org/half@")
    assert str(error.where).endswith("/onnx/model.onnx_data")


SHARDED = "model.safetensors.index.json"
BERT = {
    "config.json": b'{"architectures": ["BertModel"]}', "tokenizer.json": b"{}",
    "onnx/model.onnx": net(), "onnx/model_quantized.onnx": net(2.0),
    "model.safetensors": tensors(8), "pytorch_model.bin": b"x" * 99,
}  # fmt: skip
IN_SHARDS = {
    "a-00001-of-00002.safetensors": tensors(8), "a-00002-of-00002.safetensors": tensors(9),
    "a.safetensors.index.json": json.dumps({"weight_map": {
        "x": "a-00001-of-00002.safetensors", "y": "a-00002-of-00002.safetensors"}}).encode(),
}  # fmt: skip
OF_SHARDS = {"config.json", "tokenizer.json", SHARDED, *list(IN_SHARDS)[:2]}


@pytest.mark.parametrize(
    ("path", "form", "expected"),
    [
        ("", "onnx", {"model.onnx"}),
        ("/onnx/model_quantized.onnx", "onnx", {"model.onnx"}),
        ("/onnx", "onnx", {"model.onnx"}),
        ("/model.safetensors", "transformers",
         {"config.json", "tokenizer.json", "model.safetensors"}),
        ("/pytorch_model.bin", "transformers",
         {"config.json", "tokenizer.json", "pytorch_model.bin"}),
        ("/a.safetensors.index.json", "transformers", OF_SHARDS),
        ("/a-00002-of-00002.safetensors", "transformers", OF_SHARDS),
    ],
)  # fmt: skip
def test_weights_that_are_named_come_with_the_settings_beside_them(
    hub: LocalHub, store: Store, path: str, form: str, expected: set[str]
) -> None:
    hub.add("org/bert", {**BERT, **IN_SHARDS})
    snapshot = take(store, f"hf://org/bert@main{path}", hub.environment())
    assert snapshot.format == form
    assert {file.path for file in snapshot.files} == expected
    fetched = set(hub.files_asked())
    assert len(fetched & {*BERT, *IN_SHARDS} - {"config.json", "tokenizer.json"}) == max(
        1, len(expected) - 2
    )
    other = snapshot.metadata.alternative
    assert other == (None if path else f"{snapshot.pinned}/model.safetensors")


def test_other_weights_of_a_language_model_that_are_named_are_not_fetched(
    hub: LocalHub, store: Store
) -> None:
    config = b'{"architectures": ["LlamaForCausalLM"]}'
    hub.add("org/llama", {"config.json": config, "model.fp16.safetensors": tensors(40)})
    error = refused(store, "hf://org/llama/model.fp16.safetensors", hub.environment())
    assert error.code == "source.transformers.language"
    assert hub.files_asked() == ["config.json"]


def test_an_mlflow_folder_and_a_triton_repository_are_kept(hub: LocalHub, store: Store) -> None:
    mlmodel = b"flavors: {onnx: {data: model.onnx}}\nrun_id: abc\n"
    hub.add("org/saved", {"README.md": CARD, "MLmodel": mlmodel, "model.onnx": net()})
    saved = take(store, "hf://org/saved", hub.environment())
    assert (saved.format, saved.metadata.run_id) == ("mlflow", "abc")
    assert saved.metadata.tags["license"] == "mit"
    assert [file.path for file in saved.files] == ["MLmodel", "model.onnx"]
    config = b'platform: "onnxruntime_onnx"\n'
    hub.add("org/one-model", {"config.pbtxt": config, "1/model.onnx": net()})
    finished = take(store, "hf://org/one-model", hub.environment())
    assert finished.format == "triton"
    # A model's folder has the model's name, and so has its repository.
    assert [file.path for file in finished.files] == [
        "one-model/1/model.onnx", "one-model/config.pbtxt",
    ]  # fmt: skip


def test_what_is_not_served_is_named_with_what_was_found(hub: LocalHub, store: Store) -> None:
    config = b'{"architectures": ["LlamaForCausalLM"]}'
    hub.add("org/llama", {"config.json": config, "model.safetensors": tensors(40)})
    error = refused(store, "hf://org/llama", hub.environment())
    assert error.code == "source.transformers.language"
    assert "Chosen: model.safetensors (safetensors) and 1 file of settings" in error.what
    assert str(error.where).startswith("hf://org/llama@")
    assert hub.files_asked() == ["config.json"], "the weights are not fetched"
    hub.add("org/diffusion", {"model_index.json": b"{}", "unet/model.safetensors": tensors(40)})
    error = refused(store, "hf://org/diffusion", hub.environment())
    assert error.code == "source.transformers.diffusers"
    hub.add("org/words", {"config.cfg": b"", "meta.json": b"{}", "ner/model": b"x"})
    error = refused(store, "hf://org/words", hub.environment())
    assert (error.code, "spaCy" in error.what) == ("source.files.library", True)
    hub.add("org/forest", {"model.skops": b"PK", "config.json": b"{}"})
    error = refused(store, "hf://org/forest", hub.environment())
    assert "it has config.json, model.skops" in error.what
    hub.add("org/tree", {"model.pkl": pickle.dumps([1.0]), "config.json": b"{}", "README.md": CARD})
    assert take(store, "hf://org/tree", hub.environment()).format == "sklearn"
    hub.add("org/pair", {"encoder.onnx": net(), "decoder.onnx": net()})
    error = refused(store, "hf://org/pair", hub.environment())
    hint = str(error.hint)
    assert error.code == "source.huggingface.several"
    assert take(store, hint.rpartition(" ")[2], hub.environment()).format == "onnx"


# ── who may read it ───────────────────────────────────────────────────────────────────────────


def test_a_private_and_a_gated_repository_take_a_token(hub: LocalHub, store: Store) -> None:
    hub.add("org/private", WHOLE, private=True)
    hub.add("org/gated", {"model.onnx": net(5.0)}, gated=True)
    for name, token, code in [
        ("org/private", None, "huggingface.missing"),
        ("org/private", STRANGER, "huggingface.missing"),
        ("org/gated", None, "huggingface.gated"),
        ("org/gated", STRANGER, "huggingface.gated"),
        ("org/gated", "hf_expired", "huggingface.unauthorized"),
    ]:
        variables = hub.environment(**({"HF_TOKEN": token} if token else {}))
        error = refused(store, f"hf://{name}", variables)
        assert (error.code, error.retriable) == (code, False)
        assert "HF_TOKEN" in str(error.hint)
    for name in ("org/private", "org/gated"):
        snapshot = take(store, f"hf://{name}", hub.environment(HF_TOKEN=TOKEN))
        assert TOKEN not in repr(snapshot)


def test_the_token_reaches_the_hub_alone_and_is_written_nowhere(
    hub: LocalHub, store: Store
) -> None:
    hub.add("org/private", WHOLE, private=True)
    take(store, "hf://org/private", hub.environment(HF_TOKEN=TOKEN))
    sent = {(one.host, one.token) for one in hub.asked}
    assert sent == {("127.0.0.1", TOKEN), ("localhost", None)}
    for path in store.root.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path
