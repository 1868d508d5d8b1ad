"""Folders saved by MLflow: what they say of themselves; the model in them is never loaded here."""

from cloche.formats.mlflow.format import MlflowFormat

__all__ = ["MlflowFormat"]
