"""Folders saved by MLflow, read without loading the model in them."""

from cloche.formats.mlflow.format import MlflowFormat

__all__ = ["MlflowFormat"]
