"""The axes that a user names: which have one size, and what is said where they are wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="module")
def scripts(imported: Callable[[str], Any]) -> Any:
    """The script `interface`."""
    return imported("interface")


@pytest.fixture(scope="module")
def cases(imported: Callable[[str], Any]) -> Any:
    return imported("interface_cases").cases


@pytest.fixture(scope="module")
def declaring(imported: Callable[[str], Any]) -> Any:
    return imported("declaring")


Told = list[dict[str, Any]]


def told(**inputs: list[int | str]) -> Told:
    """Return inputs as a job has them."""
    return [
        {
            "name": name, "datatype": "FP32",
            "shape": [axis if isinstance(axis, int) else -1 for axis in axes],
            "labels": [axis if isinstance(axis, str) else None for axis in axes],
        }
        for name, axes in inputs.items()
    ]  # fmt: skip


def attend(arrays: dict[str, Any]) -> dict[str, Any]:
    """Steps that look at words: lengths of their own, one batch."""
    return {"y": np.einsum("bsf,bwf->bsw", arrays["steps"], arrays["words"])}


def square(arrays: dict[str, Any]) -> dict[str, Any]:
    return {"y": np.linalg.eigvalsh(arrays["x"])}


def of_eight(arrays: dict[str, Any]) -> dict[str, Any]:
    if arrays["x"].shape[1] != 16:
        raise ValueError("not 16")
    return {"y": arrays["x"].sum(axis=1)}


def found(scripts: Any, call: Any, inputs: Told) -> Any:
    tensors = scripts.told_tensors(inputs)
    names = [tensor.name for tensor in tensors]
    return scripts.answered(call, names, [tensors], None, scripts.Values())


@pytest.mark.parametrize(
    ("call", "inputs", "answer"),
    [
        (attend, told(steps=["b", "s", 4], words=["b", "w", 4]), {0: "b", 1: "s", 2: "w"}),
        (attend, told(steps=["b", -1, 4], words=["b", "w", 4]), {0: "b", 1: "axis_1", 2: "w"}),
        (square, told(x=[-1, "n", "n"]), {0: "batch", 1: "n"}),
        (of_eight, told(x=["rows", 16]), {0: "rows"}),
    ],
)
def test_axes_that_are_called_alike_have_one_size(  # noqa: PLR0917 - a case, and what it needs
    scripts: Any, declaring: Any, cases: Any, call: Any, inputs: Told, answer: dict[int, str]
) -> None:
    interface = found(scripts, call, inputs)
    declaring.require(interface, scripts.told_tensors(inputs))
    (output,) = interface.outputs
    assert output.labels == answer
    asked = [words for words, request in cases(interface, scripts.Values()) if call(request)]
    assert len(asked) >= 6, "each is answered"


@pytest.mark.parametrize(
    ("call", "inputs", "declared", "words"),
    [
        (of_eight, told(x=["b", "n"]), None, "leaves n of x open, and the model answers 16"),
        (of_eight, told(x=[-1, 16]), told(x=[2, 16]), "says x FP32 [2, 16], and the model itself"),
        (of_eight, told(x=[-1, 16]), told(y=[-1, 16]), "itself x FP32 [?, 16]"),
        (of_eight, told(x=[-1, 16]), told(x=[-1, 16, 1]), "itself x FP32 [?, 16]"),
        (of_eight, told(x=["b", 3]), None, "refuses inputs of the shapes x FP32 [b, 3]: not 16"),
    ],
)
def test_what_is_declared_and_not_so_is_said(  # noqa: PLR0917 - a case, and what it needs
    scripts: Any, declaring: Any, call: Any, inputs: Told, declared: Told | None, words: str
) -> None:
    with pytest.raises(scripts.Unusable) as refused:
        declaring.require(found(scripts, call, inputs), scripts.told_tensors(declared or inputs))
    assert words in refused.value.what
    assert refused.value.hint


def test_the_question_has_a_line_to_paste(imported: Callable[[str], Any]) -> None:
    from cloche import spec

    hint = imported("asking").ask(["tokens", "income (EUR)"])
    line = hint.partition("`")[2].partition("`")[0]
    assert list(spec.parse(f"model: x\n{line}").inputs) == ["tokens", "income (EUR)"]
    assert "--example" in hint
