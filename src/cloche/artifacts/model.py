"""A model as its source has it, and what inspection finds in it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a tree: its path relative to the tree's root (POSIX), size in bytes, digest."""

    path: str
    size: int
    digest: str


MISSING = ".missing"
"""The end of the name of a tensor that marks where another one has no value."""
LENGTHS = ".lengths"
"""The end of the name of a tensor that says how many values the lists of another one have.

It has the axes of the other without the last one, and at least two. A list shorter than the last
axis is filled up; -1 stands where there is no list.
"""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a model, as its own format describes it.

    `datatype` is Triton's name (`FP32`, `INT64`, `BYTES` …). `shape` is the whole shape with the
    batch axis in it; -1 is a size known only per request, and `()` is a scalar. `labels` holds the
    symbolic names of dynamic axes where the format gives them (`"batch"`, `None` …).
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    labels: tuple[str | None, ...] = ()
    optional: bool = False
    declared: tuple[int, ...] | None = None
    """The shape that the file declares, where the runtime loads another."""
    marks: str | None = None
    """The tensor whose missing values or lengths of lists this one tells."""
    holds: str | None = None
    """What BYTES stand for if not text: `binary` (base64 in JSON), `date` (ISO 8601), `json`."""

    def axis(self, index: int) -> str:
        """Return what an axis is called: its label, or `NAME[INDEX]` for an axis without one."""
        label = self.labels[index] if index < len(self.labels) else None
        unlabelled = label is None or label.lower() in {"?", "-1", "none", "unk", "unknown"}
        return f"{self.name}[{index}]" if label is None or unlabelled else label


@dataclass(frozen=True, slots=True)
class Signature:
    """What a registry recorded about a model's inputs and outputs."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...] = ()
    columns: bool = False
    """True when the inputs are columns of one table (MLflow's ColSpec), False for tensors."""
    lists: bool = False
    """Whether the outputs are columns, some of which hold lists."""
    samples: dict[str, str] = field(default_factory=dict)
    """A value as JSON that the schema of an input of structures allows, by its name."""
    unnamed: tuple[str, ...] = ()
    """Names that Cloche made up because the registry recorded none."""


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What a source records beside a model's files; fields it does not record are empty."""

    signature: Signature | None = None
    input_example: str | None = None
    """Path of the example inside the snapshot."""
    requirements: tuple[str, ...] = ()
    python: str | None = None
    """The Python version that the model was saved with, such as `3.11.7`."""
    flavors: tuple[str, ...] = ()
    parameters: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    run_id: str | None = None
    experiment_id: str | None = None
    """The experiment of the run."""
    choice: str | None = None
    """Which of a repository's files the source chose, and what it left out."""
    alternative: str | None = None
    """A reference to other weights beside those that were taken, which could be served, too."""


class ModelFormat(enum.StrEnum):
    """What the files of a snapshot look like."""

    ONNX = "onnx"
    PYTORCH = "pytorch"
    """A file of PyTorch: a script, an exported program, a module or its weights."""
    SKLEARN = "sklearn"
    """A pickle, a joblib or a skops file of a model of scikit-learn, XGBoost or LightGBM."""
    XGBOOST = "xgboost"
    """A booster in XGBoost's own format, JSON or UBJSON."""
    LIGHTGBM = "lightgbm"
    """A booster in LightGBM's own format, text."""
    TRANSFORMERS = "transformers"
    """A folder of transformers or sentence-transformers."""
    TENSORFLOW = "tensorflow"
    """A folder that TensorFlow saved: a SavedModel."""
    KERAS = "keras"
    """A whole model of Keras: a `.keras` file, its unpacked folder, or HDF5."""
    JAX = "jax"
    """A program that JAX exported as StableHLO."""
    MLFLOW = "mlflow"
    """A folder with an MLmodel file."""
    TRITON = "triton"
    """A finished Triton model repository."""


@dataclass(frozen=True, slots=True)
class ModelSnapshot:
    """A model resolved once: its files by digest, and what its source knows of it.

    `digest` is the digest of the sorted list of files: it depends on their bytes alone. `reference`
    is what the user wrote (`models:/digits@champion`), `pinned` what it resolved to
    (`models:/digits/3`, an absolute path), `version` the registry's number for it, if any. The
    digest is empty where nobody knows the files: a server that was adopted has them.
    """

    reference: str
    pinned: str
    source: str
    """`files`, `mlflow`, `huggingface`, or `adopted`."""
    version: str | None
    digest: str
    format: ModelFormat
    files: tuple[FileEntry, ...]
    entry: str
    """The model's main file (`model.onnx`, `MLmodel`), or `.` for the whole folder."""
    metadata: ModelMetadata = field(default_factory=ModelMetadata)
    registry: str | None = None
    """Address of the registry that it comes from, without credentials."""

    @property
    def size(self) -> int:
        """Return the size of all files in bytes."""
        return sum(entry.size for entry in self.files)


class Certainty(enum.StrEnum):
    """How sure an inspection is of its answer."""

    CERTAIN = "certain"
    LIKELY = "likely"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class BatchAxis:
    """Whether requests can be joined along axis 0, and why that is believed."""

    present: bool
    certainty: Certainty
    why: str
    maximum: int | None = None
    """The size of a fixed axis (an exported batch of 8); None if the axis is free."""
    measured: bool = False
    """Whether the model's own answers showed it."""


class Severity(enum.StrEnum):
    """How grave a finding is."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth telling the user about a model or a repository."""

    severity: Severity
    code: str
    what: str
    where: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class ValueRange:
    """The values of an input that a model accepts, as far as its graph tells; None is no bound."""

    low: float | None
    high: float | None
    """The largest value; it may be taken."""
    whole: bool
    """True where only whole numbers make sense, whatever the datatype."""
    why: str
    values: tuple[float, ...] = ()
    """All elements in row-major order, where the shapes of the model leave no better choice."""


@dataclass(frozen=True, slots=True)
class Loading:
    """How a model's own framework loads it, in its own environment."""

    framework: str
    """`pytorch`, `sklearn`, `transformers`: a key of the tables of conversions and references."""
    kind: str
    """What the framework calls such a file: `torchscript`, `state_dict`, `pickle`, `skops` …"""
    path: str
    """The file or folder to load, in the snapshot."""
    options: dict[str, Any] = field(default_factory=dict)
    """What else its loader needs, such as the class of a state dict."""
    declared: bool = False
    """Whether its files declare all that is served: nothing is found out or converted."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What inspection found in a snapshot, without running the model."""

    format: ModelFormat
    framework: str
    """What made the model, such as `onnx (pytorch 2.9)` or `sklearn`."""
    backend: str
    """The Triton backend that serves it: `onnxruntime` or `python`."""
    inputs: tuple[TensorSpec, ...]
    """Empty if only a run of the model tells them."""
    outputs: tuple[TensorSpec, ...]
    batch: BatchAxis
    size_bytes: int
    memory_bytes: int | None
    """Estimate of the resident memory of one instance: weights and the largest activations."""
    opsets: dict[str, int] = field(default_factory=dict)
    operators: dict[str, int] = field(default_factory=dict)
    """How often each operator occurs, by `Domain.Name`."""
    unsupported_operators: tuple[str, ...] = ()
    python: str | None = None
    """`3.11`: the interpreter that a Python model needs."""
    requirements: tuple[str, ...] = ()
    columns: bool = False
    """True when the inputs are the columns of one table."""
    samples: dict[str, str] = field(default_factory=dict)
    """A value as JSON that an input of structures accepts by its schema."""
    opened: tuple[str, ...] = ()
    """Inputs of an ONNX file with an axis of size 0, which is declared open where it is served."""
    inputs_declared: bool = False
    """Whether the user declared the inputs, since its files do not tell them."""
    outputs_assumed: bool = False
    """Whether nothing declares the outputs, so that only a run of the model tells them."""
    loading: Loading | None = None
    """How the model's own framework loads it; None if its files are what the backend runs."""
    convertible: Loading | None = None
    """How a conversion loads what the backend runs as it is; None if nothing converts it."""
    labels: tuple[str, ...] = ()
    """The names of the classes that the scores of an output are of, in their order."""
    findings: tuple[Finding, ...] = ()
    ranges: dict[str, ValueRange] = field(default_factory=dict)
    """What the model does with an input tells of its values, by the name of the input."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Sizes of dynamic axes that the model asks for, by label, or `INPUT[AXIS]` without one."""
