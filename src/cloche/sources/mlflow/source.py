"""The MLflow source: resolved once, pinned by version and digest.

A resolved version is remembered with the registry's record of it. While the record is unchanged,
and an occasional listing shows the same files, the model comes from the store.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from cloche.sources.mlflow.reference import FORMS, parse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cloche.artifacts import ModelSnapshot
    from cloche.formats import Format
    from cloche.sources.mlflow.reference import MlflowReference
    from cloche.sources.source import PinnedModel, ResolveContext


_PAGE = re.compile(r"^https?://[^#]+#/models/([^/]+)/versions/([0-9]+)")


class MlflowSource:
    """Models of an MLflow registry; implements `cloche.sources.Source`.

    `saved` is the format of the folders that MLflow stores.
    """

    name = "mlflow"
    schemes: tuple[str, ...] = ("models", "runs")
    forms: tuple[str, ...] = FORMS
    misspelled: Mapping[str, str] = {
        "model": "models", "run": "runs", "registry": "models", "mlflow": "models",
    }  # fmt: skip

    def __init__(self, saved: Format) -> None:
        self._saved = saved

    def parse(self, text: str, directory: Path) -> MlflowReference:  # noqa: ARG002
        """Parse a reference to a version, an alias, a logged model or a run's model."""
        return parse(text)

    def of_page(self, address: str) -> str | None:
        """Return the reference to a version of a registered model that MLflow's page shows."""
        shown = _PAGE.search(address)
        return f"models:/{unquote(shown[1])}/{shown[2]}" if shown else None

    def current(self, text: str, context: ResolveContext) -> PinnedModel:
        """Return the version that a reference names now; costs one or two requests."""
        from cloche.sources.mlflow import resolving

        return resolving.current(text, context)

    def resolve(self, text: str, context: ResolveContext) -> ModelSnapshot:
        """Return the snapshot of a reference, with its files in the store."""
        from cloche.sources.mlflow import resolving

        return resolving.resolve(text, context, source=self.name, saved=self._saved)
