"""Which source takes a reference, by its scheme."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cloche.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from cloche.sources.source import Source

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")


def source_of(text: str, sources: Collection[Source]) -> Source:
    """Return the source that takes a reference; raises UsageError if none does."""
    forms = [form for source in sources for form in source.forms]
    hint = f"Write {', '.join(forms[:-1])}, or {forms[-1]}."
    text = text.strip()
    if not text or "\0" in text:
        raise wrong("empty", text, "A model reference cannot be empty.", hint)
    scheme, rest = split(text)
    for source in sources:
        if scheme in source.schemes:
            return source
    meant = next((s.misspelled[scheme] for s in sources if scheme in s.misspelled), None)
    if meant is not None:
        hint = f"Did you mean {meant}:/{rest}?"
    shown = next((found for source in sources if (found := source.of_page(text))), None)
    if shown is not None:
        hint = f"Did you mean {shown}?"
    what = f"Cloche does not take models from {scheme}: in this version."
    raise wrong("scheme", text, what, hint)


def split(text: str) -> tuple[str, str]:
    """Return the scheme of a reference in lower case (empty if it has none) and the rest."""
    match = _SCHEME.match(text)
    return (match[1].lower(), text[match.end() :]) if match else ("", text)


def wrong(code: str, text: str, what: str, hint: str) -> UsageError:
    """Return the error for an invalid reference."""
    return UsageError(f"source.reference.{code}", what, where=text or None, hint=hint)
