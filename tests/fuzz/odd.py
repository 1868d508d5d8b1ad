"""Values that nobody writes on purpose, and what may come out of code that reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hypothesis import strategies as st

from cloche.errors import ClocheError

WORDS = st.sampled_from((
    "inputs", "outputs", "instances", "dataframe_split", "dataframe_records", "columns", "data",
    "index", "name", "shape", "datatype", "type", "params", "parameters", "x", "y", "items",
    "tensor-spec", "dtype", "required", "python", "dependencies", "pip", "flavors",
    "python_function", "sklearn", "onnx", "signature", "double", "long", "string", "tensor", "FP32",
    "int64", "metadata", "model", "batching", "replicas", "example",
))  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=6)
    | WORDS
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(WORDS | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
"""What a file of JSON or YAML may hold."""
TEXTS = st.text(max_size=60) | st.lists(WORDS | st.text(max_size=8), max_size=8).map("\n".join)


@contextmanager
def only_our_errors() -> Iterator[None]:
    """Let errors with a remedy pass; any other exception is a defect."""
    with suppress(ClocheError):
        yield
