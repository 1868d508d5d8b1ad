"""MLflow's models of conversations: ChatModel, ChatAgent and ResponsesAgent.

What MLflow loads them with reads one request from the first row of its table and ignores the
others (`_convert_input` in mlflow/pyfunc/loaders). A request is one row, so that none is dropped.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloche.artifacts import BatchAxis, Certainty

if TYPE_CHECKING:
    from cloche.artifacts import ModelMetadata, Signature, TensorSpec

_LOADERS = frozenset({"chat_model", "chat_agent", "responses_agent"})
BATCH = BatchAxis(
    present=False,
    certainty=Certainty.CERTAIN,
    why="MLflow answers one conversation per request",
)


def answers_one(metadata: ModelMetadata) -> bool:
    """Return whether a Python function answers one conversation per request."""
    package, _, name = metadata.tags.get("python_function.loader_module", "").rpartition(".")
    return package.startswith("mlflow.pyfunc") and name in _LOADERS


def of_one(signature: Signature) -> Signature:
    """Return a signature of columns with one row; an answer may lack any of its outputs.

    MLflow writes the signature of its own protocol, and leaves out what an answer does not have:
    the id of a ChatCompletionResponse is required by its schema, and None by default.
    """
    outputs = tuple(replace(spec, optional=True) for spec in _of_one(signature.outputs))
    return replace(signature, inputs=_of_one(signature.inputs), outputs=outputs)


def _of_one(specs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    return tuple(replace(spec, shape=(1, *spec.shape[1:])) for spec in specs)
