"""The rules of the native backend, without a server: what it fills in and what it refuses."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import cloche.servers.triton

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_BACKEND = Path(cloche.servers.triton.__file__).parent / "backends" / "onnxruntime"


@pytest.fixture(scope="module")
def signature() -> Iterator[ModuleType]:
    """Import the backend's module as the stub does: from its own folder, outside the package."""
    sys.path.insert(0, str(_BACKEND))
    try:
        import onnx_signature

        yield onnx_signature
    finally:
        sys.path.remove(str(_BACKEND))
        for name in ("onnx_signature", "onnx_session"):
            sys.modules.pop(name, None)


def session(
    inputs: dict[str, tuple[str, list[Any]]],
    outputs: dict[str, tuple[str, list[Any]]],
    overridable: dict[str, tuple[str, list[Any]]] | None = None,
) -> Any:
    def arguments(given: dict[str, tuple[str, list[Any]]]) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=n, type=t, shape=s) for n, (t, s) in given.items()]

    return SimpleNamespace(
        get_inputs=lambda: arguments(inputs),
        get_outputs=lambda: arguments(outputs),
        get_overridable_initializers=lambda: arguments(overridable or {}),
    )


def config(
    inputs: list[dict[str, Any]], outputs: list[dict[str, Any]], size: int = 0, **more: Any
) -> dict[str, Any]:
    return {"name": "m", "max_batch_size": size, "input": inputs, "output": outputs, **more}


def io(name: str, dims: list[int], datatype: str = "FP32", **more: Any) -> dict[str, Any]:
    return {"name": name, "data_type": f"TYPE_{datatype}", "dims": dims, **more}


FLOAT = "tensor(float)"
BATCHED = ({"x": (FLOAT, ["n", 4])}, {"y": (FLOAT, ["n", 2])})
FIXED = ({"x": (FLOAT, [1, 4])}, {"y": (FLOAT, [1, 2])})


@pytest.mark.parametrize(
    ("model", "given", "expected"),
    [
        (
            BATCHED, config([], []),
            config([io("x", [4])], [io("y", [2])], 4, dynamic_batching={}),
        ),
        (
            BATCHED, config([], [], 16, sequence_batching={}),
            config([io("x", [4])], [io("y", [2])], 16, sequence_batching={}),
        ),
        (
            BATCHED, config([], [], 1),
            config([io("x", [4])], [io("y", [2])], 1),
        ),
        (FIXED, config([], []), config([io("x", [1, 4])], [io("y", [1, 2])])),
        (
            ({"x": ("tensor(string)", ["n"])}, {"y": ("tensor(int64)", [None])}), config([], [], 8),
            config([io("x", [1], "STRING", reshape={"shape": []})],
                   [io("y", [1], "INT64", reshape={"shape": []})], 8, dynamic_batching={}),
        ),
        (
            ({"x": ("tensor(float16)", [])}, {"y": ("tensor(bool)", [])}), config([], []),
            config([io("x", [1], "FP16")], [io("y", [1], "BOOL")]),
        ),
    ],
)  # fmt: skip
def test_what_is_filled_in(
    signature: ModuleType, model: Any, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert not signature.is_complete(given)
    signature.complete(given, signature.read(session(*model)))
    assert given == expected
    signature.validate(given, signature.read(session(*model)))


X, Y = io("x", [4]), io("y", [2])


@pytest.mark.parametrize(
    ("model", "given", "words"),
    [
        (BATCHED, config([X, io("z", [1])], [Y], 8),
         "unable to load model 'm', configuration expects 2 inputs, model provides 1"),
        (BATCHED, config([io("z", [4])], [Y], 8),
         "unexpected inference input 'z', allowed inputs are: x"),
        (BATCHED, config([X], [io("z", [2])], 8),
         "unexpected inference output 'z', allowed outputs are: y"),
        (BATCHED, config([io("x", [4], "FP64")], [Y], 8),
         ("unable to load model 'm', configuration expects datatype TYPE_FP64 for input 'x', model"
          " provides TYPE_FP32")),
        (BATCHED, config([io("x", [4], "INVALID")], [Y], 8),
         "unsupported datatype TYPE_INVALID for input 'x' for model 'm'"),
        (BATCHED, config([io("x", [5])], [Y], 8),
         ("model 'm', tensor 'x': the model expects 2 dimensions (shape [-1,4]) but the model"
          " configuration specifies 2 dimensions (an initial batch dimension because max_batch_size"
          " > 0 followed by the explicit tensor shape, making complete shape [-1,5])")),
        (FIXED, config([X], [Y], 8),
         ("model 'm', tensor 'x': for the model to support batching the shape should have at least"
          " 1 dimension and the first dimension must be -1; but shape expected by the model is"
          " [1,4]")),
        (FIXED, config([X], [Y]),
         ("model 'm', tensor 'x': the model expects 2 dimensions (shape [1,4]) but the model"
          " configuration specifies 1 dimensions (shape [4])")),
        (({"x": (FLOAT, [])}, {"y": (FLOAT, [])}), config([io("x", [2])], [io("y", [1])]),
         ("unable to load model 'm', scalar tensor 'x', should only provide 1 in the model"
          " configuration when the model doesn't support batching. Model configuration provided:"
          " [2].")),
        (BATCHED, config([X], [io("y", [-1])], 8), "tensor 'y': the model expects 2 dimensions"),
        (BATCHED, config([X, io("w", [4], optional=True)], [Y], 8),
         "optional input 'w' is not supported for models that support batching"),
        (BATCHED, config([X], [Y], 8, sequence_batching={"state": [{}]}), "implicit state"),
        (BATCHED, config([io("x", [4], allow_ragged_batch=True)], [Y], 8), "allow_ragged_batch"),
    ],
)  # fmt: skip
def test_what_is_refused_and_how_it_is_worded(
    signature: ModuleType, model: Any, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(signature.ModelError) as caught:
        signature.validate(given, signature.read(session(*model)))
    assert words in str(caught.value)


def test_a_configuration_may_fix_what_the_model_leaves_free(signature: ModuleType) -> None:
    model = session({"x": (FLOAT, ["n", "m"])}, {"y": (FLOAT, ["n"])})
    given = config([io("x", [4])], [io("y", [1], reshape={"shape": []})], 8)
    signature.validate(given, signature.read(model))


def test_values_that_are_not_tensors_are_refused(signature: ModuleType) -> None:
    model = session({"x": (FLOAT, ["n"])}, {"p": ("seq(map(int64,tensor(float)))", [])})
    with pytest.raises(signature.ModelError) as caught:
        signature.read(model)
    assert str(caught.value) == (
        "Unsupported ONNX Type 'ONNX_TYPE_SEQUENCE' for I/O 'p', expected 'ONNX_TYPE_TENSOR'."
    )


def test_batching_asked_of_a_model_that_cannot(signature: ModuleType) -> None:
    with pytest.raises(signature.ModelError, match="does not support batching while non-zero"):
        signature.complete(config([], [], 8), signature.read(session(*FIXED)))
