"""Models of an MLflow registry: looked up, pinned, and fetched once."""

from cloche.sources.mlflow.source import MlflowSource

__all__ = ["MlflowSource"]
