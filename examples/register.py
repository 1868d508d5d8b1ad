# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "mlflow==3.17.2", "onnx==1.23.2", "onnxruntime==1.32.0", "scikit-learn==1.9.1",
#     "skl2onnx==1.20.0",
# ]
# ///
"""Train small models and register them in MLflow: `make examples` runs this.

    digits@champion, digits@challenger   handwritten digits, stored as ONNX
    wine/1                               a scikit-learn pipeline over the columns of a table

MLFLOW_TRACKING_URI names the registry; without it, it is the file mlflow.db beside this script. The
data are those that scikit-learn carries.
"""

from __future__ import annotations

import os
from pathlib import Path

import mlflow
import mlflow.onnx
import mlflow.sklearn
import numpy as np
from mlflow.models import infer_signature
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_digits, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def register_digits(alias: str, hidden: int) -> None:
    """Train a network with a hidden layer of this size, export it, and name its version."""
    pixels, labels = load_digits(return_X_y=True)
    pixels = pixels.astype(np.float32)
    network = MLPClassifier((hidden,), max_iter=200, random_state=7)
    model = make_pipeline(StandardScaler(), network).fit(pixels, labels)
    exported = convert_sklearn(
        model,
        initial_types=[("pixels", FloatTensorType([None, 64]))],
        options={id(model): {"zipmap": False}},
    )
    answer = {
        "label": model.predict(pixels[:2]),
        "probabilities": model.predict_proba(pixels[:2]).astype(np.float32),
    }
    logged = mlflow.onnx.log_model(
        exported,
        name="model",
        signature=infer_signature({"pixels": pixels[:2]}, answer),
        input_example={"pixels": pixels[:2]},
        registered_model_name="digits",
    )
    version = logged.registered_model_version
    mlflow.MlflowClient().set_registered_model_alias("digits", alias, version)


def register_wine() -> None:
    """Train a classifier over the columns of a table; each column is an input of its service."""
    table, labels = load_wine(return_X_y=True, as_frame=True)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(table, labels)
    mlflow.sklearn.log_model(
        model,
        name="model",
        signature=infer_signature(table, model.predict(table)),
        input_example=table.head(3),
        registered_model_name="wine",
        pip_requirements=["mlflow==3.17.2", "scikit-learn==1.9.1"],
    )


if __name__ == "__main__":
    beside = Path(__file__).with_name("mlflow.db")
    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{beside}")
    mlflow.set_experiment("examples")
    register_digits("champion", 64)
    register_digits("challenger", 16)
    register_wine()
