"""Saves the models that these tests serve; runs in an environment with MLflow: `FOLDER`."""

import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, Schema, TensorSpec
from mlflow.types.schema import Array, DataType
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

TYPES = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
         "float16", "float32", "float64", "str"]  # fmt: skip


class Echo(mlflow.pyfunc.PythonModel):
    """Answers what it was asked."""

    def predict(self, context, model_input, params=None):
        return {f"{name}_out": value for name, value in model_input.items()}


class Describe(mlflow.pyfunc.PythonModel):
    """Says what arrived in columns of every kind."""

    def predict(self, context, model_input, params=None):
        if "who" in model_input and (model_input["who"] == "nobody").any():
            raise ValueError("nobody is not a name")
        absent = [""] * len(model_input)
        return pd.DataFrame({
            "year": model_input["when"].dt.year.astype("int64"),
            "name": model_input.get("who", pd.Series(absent)).str.upper(),
            "sum": [float(np.sum(values)) for values in model_input["values"]],
            "bytes": [len(blob) for blob in model_input["blob"]],
        })  # fmt: skip


def people():
    random = np.random.default_rng(0)
    table = pd.DataFrame({
        "age": random.integers(18, 80, 200),
        "income": random.normal(5e4, 1e4, 200),
        "city": random.choice(["Paris", "Rome", "Oslo"], 200),
        "member": random.random(200) < 0.5,
    })  # fmt: skip
    score = table.income + 100 * table.age + 5000 * (table.city == "Rome")
    return table, score.gt(5.5e4).map({True: "yes", False: "no"})


def requirements():
    """Return what the models need; left to itself MLflow runs each one again to find out."""
    names = ["mlflow", "scikit-learn", "pandas", "numpy", "skops"]
    return [f"{name}=={version(name)}" for name in names]


def main(folder):
    needed = requirements()
    table, answer = people()
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["city"]), remainder=StandardScaler()
    )
    model = make_pipeline(columns, LogisticRegression()).fit(table, answer)
    signature = infer_signature(table, model.predict(table))
    mlflow.sklearn.save_model(
        model, folder / "people", signature=signature, input_example=table.head(1),
        pip_requirements=needed,
    )  # fmt: skip
    numbers = table[["age", "income"]].to_numpy(float) / [100, 1e5]
    model = LogisticRegression().fit(numbers, answer == "yes")
    signature = infer_signature(numbers, model.predict(numbers))
    mlflow.sklearn.save_model(
        model, folder / "numbers", signature=signature, pip_requirements=needed
    )
    echo = ModelSignature(
        Schema([TensorSpec(np.dtype(name), (-1, 2), f"{name}_in") for name in TYPES]),
        Schema([TensorSpec(np.dtype(name), (-1, 2), f"{name}_in_out") for name in TYPES]),
    )
    mlflow.pyfunc.save_model(
        folder / "echo", python_model=Echo(), signature=echo, pip_requirements=needed
    )
    describe = ModelSignature(
        Schema([
            ColSpec("datetime", "when"), ColSpec("string", "who", required=False),
            ColSpec(Array(DataType.double), "values"), ColSpec("binary", "blob"),
        ]),
        Schema([
            ColSpec("long", "year"), ColSpec("string", "name"), ColSpec("double", "sum"),
            ColSpec("long", "bytes"),
        ]),
    )  # fmt: skip
    mlflow.pyfunc.save_model(
        folder / "describe", python_model=Describe(), signature=describe,
        pip_requirements=needed,
    )  # fmt: skip


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
