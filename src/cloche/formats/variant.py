"""The variants of a format: what people have saved, and how each is served."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Served(enum.StrEnum):
    """What answers for a model."""

    ONNX = "ONNX Runtime, as it is"
    CONVERTED = "ONNX Runtime, converted; else its own framework"
    FRAMEWORK = "its own framework, in the Python backend"
    REPOSITORY = "as its config.pbtxt says"

    @property
    def short(self) -> str:
        """Return it for a narrow column."""
        return self.value.partition(",")[0] if self is not Served.CONVERTED else "ONNX, converted"


class From(enum.StrEnum):
    """Where a model may come from."""

    FILE = "file"
    FOLDER = "folder"
    MLFLOW = "MLflow"
    HUB = "Hugging Face"


@dataclass(frozen=True, slots=True)
class Key:
    """A key of cloche.yaml that matters for some models."""

    name: str
    example: str
    """A value in YAML, on one line."""
    why: str


CLASS = Key("class", "torchvision.models.resnet50", "the class or function that makes its module")
ARGUMENTS = Key("arguments", "{num_classes: 10}", "the keyword arguments of that call")
INPUTS = Key(
    "inputs",
    "{x: {shape: [batch, 3, 224, 224], datatype: FP32}}",
    "what it takes, where nothing else tells",
)
LABELS = Key("labels", "./labels.txt", "the names of its classes, one on each line")
METHOD = Key("method", "predict_proba", "what answers; else label and probabilities, or predict")
SIGNATURE = Key("signature", "serving_default", "which of its signatures is served")
TRUST = Key("trust", "true", "run code in it that is not known to be safe")
CONVERSION = Key("conversion", '"off"', "serve it by its own framework, not as ONNX")
EXAMPLE = Key("example", "./example.json", "a request that each revision has to answer")


def requirements(*lines: str) -> Key:
    """Return the key of a model's packages, with those lines as the example."""
    return Key("requirements", f"[{', '.join(lines)}]", "its packages, where the file names none")


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to save a model of a format: a row of the table of what is served."""

    name: str
    """Its name among the measurements: `pytorch-module`."""
    what: str
    """What the user has: `a whole module`."""
    saved: str
    """The framework's own call that saves it."""
    sources: tuple[From, ...]
    served: Served
    keys: tuple[Key, ...] = ()
    """What in cloche.yaml matters for it, beyond what does for any model."""
    converter: str | None = None
    """What makes the ONNX model: `skl2onnx`."""
