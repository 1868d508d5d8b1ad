"""The source of Hugging Face repositories: pinned by commit, every file checked by its digest.

A commit never changes, so one that was resolved comes from the store, without a request for a
reference that names it, else with one for the branch or tag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.sources.huggingface.reference import FORMS, of_page, parse

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from cloche.artifacts import ModelSnapshot
    from cloche.formats import Format
    from cloche.sources.huggingface.reference import HubReference
    from cloche.sources.source import PinnedModel, ResolveContext


class HuggingFaceSource:
    """Repositories of models on a Hugging Face Hub; implements `cloche.sources.Source`."""

    name = "huggingface"
    schemes: tuple[str, ...] = ("hf",)
    forms: tuple[str, ...] = FORMS
    misspelled: Mapping[str, str] = {"huggingface": "hf", "hub": "hf"}

    def __init__(self, formats: Collection[Format]) -> None:
        self._formats = formats

    def parse(self, text: str, directory: Path) -> HubReference:  # noqa: ARG002
        """Parse a reference to a repository, or to a path in it."""
        return parse(text)

    def of_page(self, address: str) -> str | None:
        """Return the reference to what a page of the hub shows."""
        return of_page(address)

    def current(self, text: str, context: ResolveContext) -> PinnedModel:
        """Return the commit that a reference names now; costs one request at most."""
        from cloche.sources.huggingface import resolving

        return resolving.current(text, context)

    def resolve(self, text: str, context: ResolveContext) -> ModelSnapshot:
        """Return the snapshot of a reference, with its files in the store."""
        from cloche.sources.huggingface import resolving

        return resolving.resolve(text, context, source=self.name, formats=self._formats)
