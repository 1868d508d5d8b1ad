"""Train two digits classifiers and register them; the demo runs this in MLflow's environment.

    python training.py TRACKING_URI FOLDER

The data are the 1,797 scans of handwritten digits that scikit-learn carries (E. Alpaydin,
C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998).
The first version gets the alias champion; the second, a smaller network, the alias challenger.
Leaves FOLDER/held_out.npz (pixels, labels) and FOLDER/result.json; prints one line per step.
"""

# mypy: disable-error-code="import-not-found, import-untyped"
# The imports below are in MLflow's environment, not in Cloche's.

from __future__ import annotations

import json
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

NAME = "digits"
VERSIONS = {"champion": 64, "challenger": 16}
"""Size of the hidden layer, by alias; registered in this order."""
SEED = 7
MARK = "demo: "
"""Prefix of lines for the demo; MLflow prints others."""


def main(tracking_uri: str, folder: Path) -> None:
    """Train, export and register both versions, and print their accuracy."""
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    say("training on scikit-learn's digits")
    pixels, labels = load_digits(return_X_y=True)
    parts = train_test_split(
        pixels.astype(np.float32), labels, test_size=0.25, random_state=SEED, stratify=labels
    )
    train_pixels, test_pixels, train_labels, test_labels = parts
    np.savez(folder / "held_out.npz", pixels=test_pixels, labels=test_labels)
    result: dict[str, Any] = {}
    for alias, size in VERSIONS.items():
        model = train(train_pixels, train_labels, size)
        accuracy = float(model.score(test_pixels, test_labels))
        count = len(test_labels)
        say(f"accuracy on {count} held-out scans: {accuracy:.1%}; registering {NAME}@{alias}")
        wait_for(tracking_uri)
        version = register(tracking_uri, export(model), test_pixels[:4], accuracy, alias)
        result[alias] = {"version": version, "accuracy": accuracy, "held_out": count}
    (folder / "result.json").write_text(json.dumps(result))


def wait_for(tracking_uri: str, seconds: float = 120.0) -> None:
    """Return when MLflow answers; it starts during the training."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"{tracking_uri}/health", timeout=5):  # noqa: S310
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def train(pixels: Any, labels: Any, size: int) -> Any:
    """Return a multi-layer perceptron with `size` hidden neurons, fitted."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    network = MLPClassifier(hidden_layer_sizes=(size,), max_iter=200, random_state=SEED)
    return make_pipeline(StandardScaler(), network).fit(pixels, labels)


def export(model: Any) -> Any:
    """Return the pipeline as ONNX with two tensors as outputs: label and probabilities."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    return convert_sklearn(
        model,
        name=NAME,
        initial_types=[("pixels", FloatTensorType([None, 64]))],
        options={id(model): {"zipmap": False}},
    )


def register(tracking_uri: str, model: Any, example: Any, accuracy: float, alias: str) -> str:
    """Log the model with its signature and an example, and return its version."""
    import mlflow
    import mlflow.onnx
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_experiment(NAME)
    outputs = [
        TensorSpec(np.dtype("int64"), (-1,), "label"),
        TensorSpec(np.dtype("float32"), (-1, 10), "probabilities"),
    ]
    signature = ModelSignature(
        Schema([TensorSpec(np.dtype("float32"), (-1, 64), "pixels")]), Schema(outputs)
    )
    with mlflow.start_run():
        mlflow.log_params({"hidden_layer_size": VERSIONS[alias], "seed": SEED})
        mlflow.log_metric("accuracy", accuracy)
        logged = mlflow.onnx.log_model(
            model,
            name="model",
            signature=signature,
            input_example={"pixels": example},
            registered_model_name=NAME,
        )
    version = str(logged.registered_model_version)
    mlflow.MlflowClient().set_registered_model_alias(NAME, alias, version)
    return version


def say(text: str) -> None:
    """Print a step for the demo."""
    sys.stdout.write(f"{MARK}{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
