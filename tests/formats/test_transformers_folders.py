"""Folders of Hugging Face's libraries, told apart by names and settings alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from cloche.artifacts import (
    FileEntry,
    ModelFacts,
    ModelFormat,
    ModelOptions,
    ModelSnapshot,
    Severity,
)
from cloche.errors import ClocheError
from cloche.formats.format import ModelFiles
from cloche.formats.transformers import TransformersFormat, releases
from cloche.store import Store

Files = Mapping[str, object]
BERT = {"architectures": ["BertForSequenceClassification"], "model_type": "bert"}
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n"


def weights(dtype: str = "F32", count: int = 3, size: int = 4) -> bytes:
    tensor = {"dtype": dtype, "shape": [count], "data_offsets": [0, count * size]}
    header = json.dumps({"w": tensor}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(count * size)


def put(folder: Path, files: Files) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        path.write_bytes(data)
    return folder


def taken(folder: Path, files: Files) -> ModelFiles:
    put(folder, files)
    form = TransformersFormat()
    assert form.detect(folder)
    return form.files(folder, Store(folder / "store", 2**20))


def modules(*kinds: str) -> list[dict[str, object]]:
    return [
        {"idx": index, "path": f"{index}_{kind}" if index else "", "type": kind}
        for index, kind in enumerate(kinds)
    ]


SENTENCES: Files = {
    "config.json": {"architectures": ["BertModel"], "model_type": "bert"},
    "model.safetensors": weights(),
    "modules.json": modules(
        "sentence_transformers.models.Transformer", "sentence_transformers.models.Pooling",
        "sentence_transformers.models.Normalize",
    ),
    "1_sentence_transformers.models.Pooling/config.json": {"pooling_mode_mean_tokens": True},
    "sentence_bert_config.json": {"max_seq_length": 256},
    "tokenizer.json": {},
    "config_sentence_transformers.json": {
        "__version__": {"sentence_transformers": "3.3.1", "transformers": "4.48.0.dev0"}
    },
}  # fmt: skip


# ── which files are taken ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({"config.json": BERT, "model.safetensors": weights(), "pytorch_model.bin": b"x",
          "tf_model.h5": b"x", "training_args.bin": b"x", "README.md": b"#", "LICENSE": b"MIT",
          "checkpoint-9/model.safetensors": b"x", "vocab.txt": b"a"},
         {"config.json", "model.safetensors", "vocab.txt"}),
        ({"config.json": BERT, "pytorch_model.bin": b"x", "optimizer.pt": b"x"},
         {"config.json", "pytorch_model.bin"}),
        ({"config.json": BERT, "a.safetensors": weights(), "b.safetensors": weights(),
          "model.safetensors.index.json": {"weight_map": {"x": "a.safetensors"}}},
         {"config.json", "a.safetensors", "model.safetensors.index.json"}),
        (SENTENCES, set(SENTENCES)),
        ({"modules.json": [{"path": "0_Transformer", "type": "sentence_transformers.Transformer"}],
          "0_Transformer/config.json": BERT, "0_Transformer/pytorch_model.bin": b"x",
          "0_Transformer/model.safetensors": weights()},
         {"modules.json", "0_Transformer/config.json", "0_Transformer/model.safetensors"}),
    ],
)  # fmt: skip
def test_one_kind_of_weights_is_taken(tmp_path: Path, files: Files, left: set[str]) -> None:
    model = taken(tmp_path, files)
    assert set(model.files) == left
    assert model.entry == "."


@pytest.mark.parametrize(
    "files",
    [
        {"config.json": {}, "onnx/model.onnx": b"x", "tokenizer.json": {}},
        {"config.json": BERT, "model.onnx": b"x", "model.safetensors": weights()},
        {"config.json": BERT, "onnx/model.onnx": b"x", "model.safetensors": weights()},
        {"config.json": {"architecture": "resnet18", "pretrained_cfg": {}},
         "model.safetensors": weights()},
        {"config.json": {"backend": "keras"}},
        {"weights.npz": b"x"},
        {},
    ],
)  # fmt: skip
def test_folders_of_others(tmp_path: Path, files: Files) -> None:
    assert not TransformersFormat().detect(put(tmp_path, files))


# ── what is refused ───────────────────────────────────────────────────────────────────────────


def model(config: Mapping[str, object], **more: object) -> Files:
    return {"config.json": {**BERT, **config}, "model.safetensors": weights(), **more}


def sentences(**more: object) -> Files:
    return {**SENTENCES, **more}


def named(*architectures: str) -> Files:
    return model({"architectures": list(architectures)})


def both(architecture: str, **more: object) -> Files:
    """An encoder with a decoder."""
    return model({"architectures": [architecture], "is_encoder_decoder": True, **more})


INDEX = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
REFUSED: list[tuple[Files, str, str]] = [
    (named("LlamaForCausalLM"), "language", "LlamaForCausalLM generates"),
    (named("GPT2LMHeadModel"), "language", "step by step"),
    (both("BartModel", vocab_size=9), "language", "step by step"),
    (both("VisionEncoderDecoderModel"), "language", "step by step"),
    (both("SpeechT5ForTextToSpeech", vocab_size=9), "language", "step by step"),
    (both("InformerForPrediction"), "language", "step by step"),
    ({"model_index.json": {}, "unet/model.safetensors": b"x"}, "diffusers", "diffusers"),
    ({"adapter_config.json": {}, "adapter_model.safetensors": b"x"}, "adapter", "PEFT"),
    ({"model.Q4_0.gguf": b"GGUF", "tokenizer.json": {}}, "gguf", "GGUF"),
    (model({"quantization_config": {"quant_method": "bitsandbytes"}}), "quantized", "bitsandbytes"),
    (model({"auto_map": {"AutoModel": "org/other--net.Net"}}), "code", "org/other--net.Net"),
    ({"tokenizer.json": {}, "tokenizer_config.json": {}}, "alone", "a tokenizer alone"),
    ({"preprocessor_config.json": {}}, "alone", "an image processor alone"),
    ({"model.safetensors": weights()}, "config", "weights without the configuration"),
    ({"config.json": {"a": 1}, "model.safetensors": weights()}, "config", "which model"),
    ({"config.json": b"{", "model.safetensors": weights()}, "document", "config.json"),
    ({"config.json": BERT, "tf_model.h5": b"x"}, "weights", "it has tf_model.h5"),
    ({"config.json": BERT, "model.fp16.safetensors": weights()}, "weights", "model.fp16"),
    ({"config.json": BERT, "openvino_model.bin": b"x"}, "weights", "it has openvino_model.bin"),
    ({"config.json": BERT, "model.safetensors": POINTER}, "lfs", "pointer"),
    ({"config.json": BERT, "model.safetensors": weights()[:-1]}, "safetensors", "not a whole file"),
    ({"config.json": BERT, "a.safetensors": weights(), "model.safetensors.index.json": INDEX},
     "shard", "b.safetensors, which model.safetensors.index.json names"),
    ({"config.json": BERT, "model.safetensors.index.json": {"weight_map": {"x": "../a"}}},
     "index", "no `weight_map`"),
    (sentences(**{"modules.json": modules("own.Transformer")}), "modules", "code of its own"),
    (sentences(**{"modules.json": modules("sentence_transformers.models.StaticEmbedding")}),
     "modules", "the module StaticEmbedding"),
    (sentences(**{"modules.json": {}}), "modules", "does not begin"),
    (sentences(**{"config_sentence_transformers.json": {"model_type": "SparseEncoder"}}),
     "modules", "a SparseEncoder"),
    (sentences(**{
        "modules.json": modules("sentence_transformers.models.Transformer",
                                "sentence_transformers.models.Dense"),
        "1_sentence_transformers.models.Dense/config.json": {"activation_function": "os.system"},
     }), "modules", "os.system"),
    (sentences(**{"config_sentence_transformers.json": {
        "model_type": "CrossEncoder", "activation_fn": "torch.hub.list"}}),
     "modules", "torch.hub.list"),
    (model({"architectures": ["BertForSequenceClassification"],
            "sentence_transformers": {"activation_fn": "net.Act"}}), "modules", "net.Act"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "code", "words"), REFUSED)
def test_what_is_recognised_and_not_served(
    tmp_path: Path, files: Files, code: str, words: str
) -> None:
    with pytest.raises(ClocheError) as refused:
        taken(tmp_path, files)
    assert refused.value.code == f"source.transformers.{code}"
    assert words in refused.value.what
    assert refused.value.hint
    assert refused.value.where == str(tmp_path)


@pytest.mark.parametrize(
    "architecture",
    ["BartForSequenceClassification", "T5EncoderModel", "DetrForObjectDetection", "DetrModel",
     "WhisperForAudioClassification"],
)  # fmt: skip
def test_a_decoder_that_answers_in_one_step_is_served(tmp_path: Path, architecture: str) -> None:
    words = {} if architecture.startswith("Detr") else {"vocab_size": 9}
    assert architecture in facts_of(tmp_path, both(architecture, **words)).framework


# ── facts ─────────────────────────────────────────────────────────────────────────────────────


def facts_of(folder: Path, files: Files, options: ModelOptions | None = None) -> ModelFacts:
    found = taken(folder, files)
    entries = tuple(
        FileEntry(name, path.stat().st_size, name) for name, path in found.files.items()
    )
    snapshot = ModelSnapshot(
        "m", "m", "files", None, "sha256:0", ModelFormat.TRANSFORMERS, entries, found.entry
    )
    return TransformersFormat().inspect(snapshot, folder, options or ModelOptions())


def said(facts: ModelFacts, name: str) -> str:
    return next(
        (each.what for each in facts.findings if each.code == f"inspection.transformers.{name}"), ""
    )


@pytest.mark.parametrize(
    ("written", "package"),
    [
        ({"use_timm_backbone": True}, "timm==1.0.31"),
        ({"backbone_config": {"model_type": "timm_backbone"}}, "timm==1.0.31"),
        ({"model_type": "mask2former"}, "scipy==1.17.1"),
    ],
)
def test_packages_that_a_class_asks_for_are_there(
    tmp_path: Path, written: dict[str, object], package: str
) -> None:
    assert facts_of(tmp_path, both("NetForObjectDetection", **written)).requirements[2:] == (
        package,
    )


def test_the_facts_of_a_classifier(tmp_path: Path) -> None:
    labels = {"id2label": {"1": "good\nfilm", "0": "bad"}, "transformers_version": "5.1.0"}
    facts = facts_of(tmp_path, model(labels, **{"model.safetensors": weights("BF16", 5, 2)}))
    assert facts.labels == ("bad", "good film")
    assert facts.framework == "transformers, BertForSequenceClassification"
    assert facts.requirements == ("torch==2.15.0", "transformers==5.1.0")
    assert facts.memory_bytes == 20
    assert "5 weights (BF16)" in said(facts, "weights")
    assert facts.loading is not None
    assert (facts.loading.kind, facts.loading.path) == ("model", ".")
    assert facts.loading.options == {"class": "BertForSequenceClassification"}
    assert all(finding.severity is Severity.NOTE for finding in facts.findings)


OWN = {
    "AutoConfig": "configuration_net.NetConfig", "AutoModel": "net.Net",
    "AutoModelForSequenceClassification": "net.NetForSequenceClassification",
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "loaded"),
    [
        ({"architectures": ["NetForSequenceClassification"]}, "net.NetForSequenceClassification"),
        ({"architectures": ["BertModel"]}, "BertModel"),
        ({"architectures": None}, "net.Net"),
    ],
)
def test_classes_of_the_models_own(tmp_path: Path, config: dict[str, object], loaded: str) -> None:
    tokens = {"auto_map": {"AutoTokenizer": ["tokens.Tokens", None], "AutoProcessor": "gone.P"}}
    files = dict.fromkeys(("configuration_net.py", "net.py", "tokens.py", "handler.py"), b"")
    made = model({"auto_map": OWN, **config}, **{"tokenizer_config.json": tokens, **files})
    loading = facts_of(tmp_path, made).loading
    assert loading is not None
    assert loading.options == {"class": loaded, "own_code": [*OWN.values(), "tokens.Tokens"]}
    without = facts_of(tmp_path / "upstream", model({"auto_map": OWN, **config})).loading
    assert without is not None
    assert "own_code" not in without.options, "transformers has the classes by now"


@pytest.mark.parametrize(
    ("architecture", "labels"),
    [
        ("BertForTokenClassification", {"0": "O", "1": "PER"}),
        ("BertForSequenceClassification", {"0": "LABEL_0", "1": "LABEL_1"}),
        ("BertForSequenceClassification", {"0": "a", "2": "b"}),
        ("BertForSequenceClassification", {"a": "b"}),
    ],
)
def test_labels_that_are_no_names_of_classes(
    tmp_path: Path, architecture: str, labels: dict[str, str]
) -> None:
    written = model({"architectures": [architecture], "id2label": labels})
    assert facts_of(tmp_path, written).labels == ()


def test_the_facts_of_sentences(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, SENTENCES)
    assert facts.framework == "sentence-transformers, bert"
    assert "mean pooling, normalised, at most 256 tokens" in said(facts, "sentences")
    assert "tokenizer" in said(facts, "tokens")
    assert facts.requirements == (
        "torch==2.15.0", "transformers==4.48.0", "sentence-transformers==3.3.1",
    )  # fmt: skip
    given = ModelOptions(requirements=("torch", "transformers==5.0.0"), python="3.11")
    own = facts_of(tmp_path / "own", SENTENCES, given)
    assert (own.requirements, own.python) == (given.requirements, "3.11")
    assert not said(own, "requirements")


@pytest.mark.parametrize(
    "files",
    [
        sentences(**{"config_sentence_transformers.json": {
            "model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.activation.Sigmoid"}}),
        model({"architectures": ["BertForSequenceClassification"], "sentence_transformers": {
            "activation_fn": "torch.nn.modules.linear.Identity", "version": "4.1.0.dev0"}}),
        model({"architectures": ["RobertaForSequenceClassification"],
               "sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}),
    ],
)  # fmt: skip
def test_a_cross_encoder_scores_pairs(tmp_path: Path, files: Files) -> None:
    facts = facts_of(tmp_path, files)
    assert "CrossEncoder" in facts.framework
    assert facts.loading is not None
    assert facts.loading.kind == "cross"
    assert any(line.startswith("sentence-transformers==") for line in facts.requirements)
    assert "one score" in said(facts, "pairs")


NEWEST = tuple(f"{name}=={releases.TESTED[name]}" for name in ("torch", "transformers"))


@pytest.mark.parametrize(
    ("recorded", "lines", "words"),
    [
        ("5.2.0", (NEWEST[0], "transformers==5.2.0"), "those that saved it"),
        ("4.57.0.dev0", (NEWEST[0], "transformers==4.57.0"), "those that saved it"),
        ("4.8.2", NEWEST, "as transformers 4.8.2 is too old"),
        ("today's", NEWEST, "as it records none"),
        (None, NEWEST, "as it records none"),
    ],
)
def test_releases(recorded: str | None, lines: tuple[str, ...], words: str) -> None:
    found, finding = releases.requirements({"transformers": recorded})
    assert found == lines
    assert words in finding.what


def test_releases_of_both_libraries_are_kept_together() -> None:
    recorded = {"transformers": "4.57.6", "sentence-transformers": "2.2.2"}
    lines, finding = releases.requirements(recorded)
    assert lines == (*NEWEST, f"sentence-transformers=={releases.TESTED['sentence-transformers']}")
    assert "transformers 4.57.6, sentence-transformers 2.2.2 is too old" in finding.what
