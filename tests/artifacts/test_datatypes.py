"""The one table of datatypes, and the parts of it that stand alone in other interpreters."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

import cloche
from cloche.artifacts import DATATYPES
from cloche.model_config.messages import messages

SOURCE = Path(cloche.__file__).parent
NUMERIC = {name for name in DATATYPES if name not in {"BF16", "BYTES"}}


def table_of(path: str, name: str) -> dict[str, str]:
    """Return a table of a script without importing it: it is made for another interpreter."""
    for node in ast.parse((SOURCE / path).read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == name:
            table: dict[str, str] = ast.literal_eval(node.value)
            return table
    pytest.fail(f"{path} has no {name}")


def test_triton_and_onnx_have_the_names_and_numbers() -> None:
    enum: Any = messages().DataType
    assert {datatype.config for datatype in DATATYPES.values()} == set(enum.keys()) - {
        "TYPE_INVALID"
    }
    numbers = {name: datatype.onnx for name, datatype in DATATYPES.items()}
    of_onnx = {
        "FP16": "FLOAT16", "FP32": "FLOAT", "FP64": "DOUBLE", "BF16": "BFLOAT16", "BYTES": "STRING",
    }  # fmt: skip
    assert numbers == {
        name: TensorProto.DataType.Value(of_onnx.get(name, name)) for name in DATATYPES
    }


def test_sizes_are_those_of_numpy() -> None:
    assert all(np.dtype(DATATYPES[name].numpy).itemsize == DATATYPES[name].size for name in NUMERIC)


def test_a_name_of_mlflow_is_one_datatype() -> None:
    for names in ("tensors", "columns"):
        listed = [name for datatype in DATATYPES.values() for name in getattr(datatype, names)]
        assert len(listed) == len(set(listed))


def test_the_direct_run_has_the_same_types() -> None:
    table = table_of("verification/reference/scripts/exchange.py", "DTYPES")
    assert table.keys() == NUMERIC
    assert all(np.dtype(table[name]) == np.dtype(DATATYPES[name].numpy) for name in NUMERIC)


def test_the_python_model_has_the_same_types() -> None:
    table = table_of("repository/pyfunc/pyfunc_outputs.py", "DTYPES")
    assert table == {DATATYPES[name].config: DATATYPES[name].numpy for name in NUMERIC}
    assert DATATYPES["BYTES"].config in (SOURCE / "repository/pyfunc/pyfunc_outputs.py").read_text()


def test_the_onnx_runtime_backend_has_the_same_types() -> None:
    table = table_of("servers/triton/backends/onnxruntime/onnx_signature.py", "_DATATYPES")
    for element, datatype in table.items():
        number = TensorProto.DataType.Value(element.upper())
        (known,) = (one for one in DATATYPES.values() if one.onnx == number)
        assert known.config == f"TYPE_{datatype}"
    assert len(table) == len(NUMERIC) + 2
