"""A config.pbtxt beside the ONNX file that it is for: what cannot be is refused before a start."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloche.artifacts import BatchAxis, Certainty, ModelFacts, ModelFormat, TensorSpec
from cloche.errors import ErrorGroup
from cloche.formats.triton import Completion
from cloche.store import Store
from finished_repository import facts_of

KNOWN = ModelFacts(
    ModelFormat.ONNX,
    "onnx (pytorch)",
    "onnxruntime",
    (TensorSpec("input_ids", "INT64", (-1, -1)),),
    (TensorSpec("logits", "FP32", (-1, -1, 32000)), TensorSpec("score", "FP32", (-1,))),
    BatchAxis(True, Certainty.CERTAIN, "it is a batch"),
    10,
    None,
)
IDS = 'input [{ name: "input_ids" data_type: TYPE_INT64 dims: [-1] }]'
LOGITS = '{ name: "logits" data_type: TYPE_FP32 dims: [-1, 32000] }'


def inspected(tmp_path: Path, inputs: str, *outputs: str) -> ModelFacts:
    config = f'backend: "onnxruntime"\nmax_batch_size: 4\n{inputs}\noutput [{", ".join(outputs)}]'
    files = {"llama/1/model.onnx": "m", "llama/config.pbtxt": config}
    completions = {"onnxruntime": Completion(lambda _path, _where: KNOWN, 4)}
    return facts_of(Store(tmp_path / "store", 2**30), files, completions=completions)


@pytest.mark.parametrize(
    ("inputs", "output"),
    [
        (IDS, LOGITS),
        (IDS, LOGITS.replace("32000", "-1")),
        (IDS, '{ name: "score" data_type: TYPE_FP32 dims: [1] reshape { shape: [] } }'),
        (IDS, '{ name: "logits" data_type: TYPE_FP32 dims: [5] reshape { shape: [1, 5] } }'),
    ],
)
def test_what_the_model_may_have_is_left_to_the_runtime(
    tmp_path: Path, inputs: str, output: str
) -> None:
    assert inspected(tmp_path, inputs, output).inputs


@pytest.mark.parametrize(
    ("inputs", "output", "words"),
    [
        (
            IDS,
            LOGITS.replace("32000", "4096"),
            "4096], and in the model it is [?, ?, 32000]",
        ),
        (IDS, LOGITS.replace("logits", "output"), "the output 'output', which the model does not"),
        (IDS, LOGITS.replace("FP32", "FP16"), "as FP16, and in the model it is FP32"),
        (IDS, LOGITS.replace("[-1, 32000]", "[32000]"), "as [?, 32000], and in the model"),
        (IDS.replace("INT64", "INT32"), LOGITS, "as INT32, and in the model it is INT64"),
        (IDS.replace("input_ids", "ids"), LOGITS, "Its inputs are input_ids."),
    ],
)
def test_what_the_model_cannot_have_is_refused_with_both(
    tmp_path: Path, inputs: str, output: str, words: str
) -> None:
    with pytest.raises(ErrorGroup) as refused:
        inspected(tmp_path, inputs, output)
    (error,) = refused.value.errors
    assert error.code == "repository.tensors"
    assert words in f"{error.what} {error.hint}"
    assert error.where == "llama/config.pbtxt"
