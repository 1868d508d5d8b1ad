"""Which files of a repository are chosen, by their names alone."""

from __future__ import annotations

import pytest

from cloche.errors import ClocheError
from cloche.sources.huggingface.choice import choose

SETTINGS = ("config.json", "tokenizer.json", "vocab.txt")
ABOUT = ("README.md", "LICENSE", ".gitattributes")
EVERY_FRAMEWORK = (
    *SETTINGS, *ABOUT, "model.safetensors", "pytorch_model.bin", "tf_model.h5",
    "flax_model.msgpack", "rust_model.ot", "model.gguf", "openvino/openvino_model.xml",
    "openvino/openvino_model.bin", "coreml/model.mlpackage/Data/weight.bin",
)  # fmt: skip
ONNX = ("onnx/model.onnx", "onnx/model_quantized.onnx", "onnx/model_fp16.onnx")
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
SENTENCES = (
    "modules.json", "sentence_bert_config.json", "1_Pooling/config.json", "2_Dense/config.json",
    "2_Dense/model.safetensors", "2_Dense/pytorch_model.bin",
)  # fmt: skip


def shards_of(index: str) -> frozenset[str]:
    assert index.endswith(".index.json")
    return frozenset(SHARDS)


def chosen(*paths: str, wanted: str | None = None) -> set[str]:
    sizes = dict.fromkeys(paths, 1)
    choice = choose(sizes, shards_of, where="hf://o/n@c", wanted=wanted)
    assert list(choice.paths) == sorted(choice.paths)
    return set(choice.paths)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        # ONNX goes first, the plain one of its variants.
        ((*EVERY_FRAMEWORK, *ONNX), {*SETTINGS, "onnx/model.onnx"}),
        ((*EVERY_FRAMEWORK, "model.onnx"), {*SETTINGS, "model.onnx"}),
        (("model.onnx", "onnx/model.onnx"), {"onnx/model.onnx"}),
        (("yolo.onnx", "config.json"), {"yolo.onnx", "config.json"}),
        # … with its weights in other files, and not those of a variant.
        (
            ("onnx/model.onnx", "onnx/model.onnx_data", "onnx/model.onnx_data_1",
             "onnx/model_fp16.onnx", "onnx/model_fp16.onnx_data"),
            {"onnx/model.onnx", "onnx/model.onnx_data", "onnx/model.onnx_data_1"},
        ),
        (("model.onnx", "model.onnx.data", "model.bin"), {"model.onnx", "model.onnx.data"}),
        (("model.onnx", "onnx__MatMul_12", "a.0.weight"),
         {"model.onnx", "onnx__MatMul_12", "a.0.weight"}),
        # A pair of ONNX files is no model; other weights are.
        (("onnx/encoder_model.onnx", "onnx/decoder_model.onnx", "model.safetensors"),
         {"model.safetensors"}),
        # An export of sentence-transformers is its network alone.
        (("modules.json", "1_Pooling/config.json", "onnx/model.onnx", "model.safetensors"),
         {"modules.json", "1_Pooling/config.json", "model.safetensors"}),
        (("modules.json", "onnx/model.onnx"), {"modules.json", "onnx/model.onnx"}),
        # One of lower precision is taken only where no other weights are.
        (("onnx/model_quantized.onnx", "model.safetensors"), {"model.safetensors"}),
        (("model-int8.onnx", "onnx/model_q4f16.onnx", "pytorch_model.bin"), {"pytorch_model.bin"}),
        (("onnx/model_O4.onnx", "config.json"), {"onnx/model_O4.onnx", "config.json"}),
        (("yolo.onnx", "yolo_fp16.onnx"), {"yolo.onnx"}),
        (("bert-q4.onnx", "quantity.onnx"), {"quantity.onnx"}),
        # safetensors, whole or in shards
        (EVERY_FRAMEWORK, {*SETTINGS, "model.safetensors"}),
        (("model.safetensors.index.json", *SHARDS, "consolidated.safetensors", "config.json"),
         {"model.safetensors.index.json", *SHARDS, "config.json"}),
        (("adapter_model.safetensors", "adapter_config.json", "training_args.bin"),
         {"adapter_model.safetensors", "adapter_config.json"}),
        # PyTorch's own file
        (("pytorch_model.bin", "tf_model.h5", "config.json", "trainer_state.json"),
         {"pytorch_model.bin", "config.json"}),
        # sentence-transformers: its modules, with one kind of weights each
        (
            ("model.safetensors", *SENTENCES),
            {"model.safetensors", *SENTENCES} - {"2_Dense/pytorch_model.bin"},
        ),
        (("modules.json", "0_Transformer/pytorch_model.bin", "0_Transformer/config.json"),
         {"modules.json", "0_Transformer/pytorch_model.bin", "0_Transformer/config.json"}),
        # Kept as they are.
        (("MLmodel", "model.onnx", "model.pkl", "code/x.py", *ABOUT),
         {"MLmodel", "model.onnx", "model.pkl", "code/x.py"}),
        (("net/config.pbtxt", "net/1/model.onnx", "README.md"),
         {"net/config.pbtxt", "net/1/model.onnx"}),
        (("1/model.plan", "labels.csv"), {"1/model.plan", "labels.csv"}),
        (("model.skops", "config.json", "data.csv"), {"model.skops", "config.json", "data.csv"}),
        (("model.joblib", "scaler.joblib"), {"model.joblib", "scaler.joblib"}),
        (("saved_model.pb", "variables/variables.index"),
         {"saved_model.pb", "variables/variables.index"}),
        (("model.keras",), {"model.keras"}),
        (("model.pt", "optimizer.pt", "config.json"), {"model.pt", "optimizer.pt", "config.json"}),
        (("tf_model.h5", "config.json"), {"tf_model.h5", "config.json"}),
        (("model.Q4.gguf",), {"model.Q4.gguf"}),
    ],
)  # fmt: skip
def test_the_choice(paths: tuple[str, ...], expected: set[str]) -> None:
    assert chosen(*paths) == expected


@pytest.mark.parametrize(
    ("wanted", "paths", "expected"),
    [
        ("model_fp16.onnx", ("model.onnx", "model.onnx_data", "model_fp16.onnx",
                             "model_fp16.onnx_data", "config.json"),
         {"model_fp16.onnx", "model_fp16.onnx_data", "config.json"}),
        ("a.gguf", ("a.gguf", "b.gguf"), {"a.gguf"}),
        ("model.safetensors", (*EVERY_FRAMEWORK, *ONNX), {*SETTINGS, "model.safetensors"}),
        ("model.safetensors.index.json", ("model.onnx", "model.safetensors.index.json", *SHARDS),
         {"model.safetensors.index.json", *SHARDS}),
        (SHARDS[1], ("model.onnx", "model.safetensors.index.json", *SHARDS, "config.json"),
         {"model.safetensors.index.json", *SHARDS, "config.json"}),
    ],
)  # fmt: skip
def test_a_file_that_is_named_is_taken(
    wanted: str, paths: tuple[str, ...], expected: set[str]
) -> None:
    assert chosen(*paths, wanted=wanted) == expected


def test_the_choice_is_said_with_what_is_left_out() -> None:
    sizes = dict.fromkeys((*EVERY_FRAMEWORK, *ONNX), 2**20)
    assert choose(sizes, shards_of, where="").why == (
        "onnx/model.onnx (ONNX) and 3 files of settings, 4.0 MiB; left out: 11 files, 11.0 MiB"
        " (Core ML, Flax, GGUF, ONNX, OpenVINO, PyTorch, Rust, TensorFlow, safetensors)"
    )
    assert choose({"model.pt": 5}, shards_of, where="").why == (
        "model.pt (PyTorch), kept whole: 1 file, 5 bytes"
    )


@pytest.mark.parametrize(
    ("paths", "code", "said"),
    [
        (("model.safetensors.index.json", SHARDS[0]), "shard", SHARDS[1]),
        (("pytorch_model.bin.index.json",), "shard", f"{SHARDS[0]}, and 1 more"),
        (("onnx/encoder.onnx", "onnx/decoder.onnx"), "several", "onnx/decoder.onnx"),
        (("a.safetensors", "b.safetensors"), "several", "2 models"),
        (("q4.gguf", "q8.gguf"), "several", "q4.gguf, q8.gguf"),
        (("yolo-n.pt", "yolo-s.pt"), "several", "yolo-n.pt"),
        ((), "nomodel", "nothing"),
        (("README.md",), "nomodel", "nothing"),
    ],
)  # fmt: skip
def test_what_cannot_be_chosen(paths: tuple[str, ...], code: str, said: str) -> None:
    with pytest.raises(ClocheError) as raised:
        chosen(*paths)
    assert raised.value.code == f"source.huggingface.{code}"
    assert said in raised.value.what
    assert raised.value.where == "hf://o/n@c"
    assert raised.value.hint
