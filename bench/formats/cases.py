"""The models that are measured, each as its library saves it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parent / "scripts"
"""A folder per environment: its requirements, and what saves the models with it."""
_ROWS = ("joblib", "lightgbm", "numpy", "pandas", "scikit-learn", "xgboost")
_TENSORS = ("numpy", "sentence-transformers", "torch", "torchvision", "transformers")


@dataclass(frozen=True, slots=True)
class Case:
    """A saved model, and how it is measured."""

    name: str
    what: str
    """What the model is, for the report."""
    environment: str
    """The folder of the environment that saved the model, where its library predicts in process."""
    file: str
    """The file or folder of the model."""
    packages: tuple[str, ...] = ()
    """What Cloche is told that the model needs, with the versions that saved it."""
    connections: tuple[int, ...] = (1, 16)
    """How many connections load a server, one measurement each."""
    callers: tuple[int, ...] = (1,)
    """How many threads call the library in process, one measurement each."""
    binary: bool = False
    """Whether a request has its tensors as bytes, not in JSON."""
    runtime: str | None = None
    """MLServer's implementation for the format."""
    peer: str | None = None
    """The environment of that runtime, where it is another."""
    part: str | None = None
    """What MLServer's runtime does beside, as in_process.py calls it."""
    batches: tuple[int, ...] = ()
    """How many sentences are embedded at once, one measurement each."""
    spec: dict[str, Any] = field(default_factory=dict)
    """More lines of cloche.yaml."""

    @property
    def requirements(self) -> list[str]:
        """Return the lines of the environment's requirements that the model needs."""
        return [
            line for line in lines(self.environment) if line.partition("==")[0] in self.packages
        ]


def lines(environment: str) -> list[str]:
    """Return the requirements of an environment."""
    return (SCRIPTS / environment / "requirements.txt").read_text().splitlines()


CASES = (
    Case(
        "sklearn", "a forest of 100 trees, joblib", "classical", "model.joblib", _ROWS,
        runtime="mlserver_sklearn.SKLearnModel",
    ),
    Case(
        "xgboost", "100 trees for each of 3 classes, JSON", "classical", "model.json", _ROWS,
        runtime="mlserver_xgboost.XGBoostModel",
    ),
    Case(
        "lightgbm", "100 trees for each of 3 classes, text", "classical", "model.txt", _ROWS,
        runtime="mlserver_lightgbm.LightGBMModel",
    ),
    Case(
        "mlflow", "a pipeline of scikit-learn with 12 columns", "classical", "logged",
        runtime="mlserver_mlflow.MLflowRuntime",
    ),
    Case(
        "huggingface", "DistilBERT with a classifier", "torch", "distilbert", _TENSORS,
        runtime="mlserver_huggingface.HuggingFaceRuntime", peer="huggingface", part="tokenizer",
    ),
    Case(
        "pytorch", "ResNet-50, `torch.save(model)`", "torch", "resnet50.pt", _TENSORS,
        connections=(1, 4), callers=(1, 4), binary=True,
    ),
    Case(
        "sentence-transformers", "MiniLM of 6 layers", "torch", "minilm", _TENSORS,
        connections=(), callers=(), batches=(1, 8, 32),
    ),
    Case(
        "python", "the forest with `conversion: off`", "classical", "model.joblib", _ROWS,
        connections=(), callers=(), spec={"conversion": "off"},
    ),
)  # fmt: skip
