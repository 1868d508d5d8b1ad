"""How the inputs of a model are asked for. Syntax for Python 3.8."""

from __future__ import annotations

import json
import re

_PLAIN = re.compile(r"[A-Za-z_]\w*")


def ask(names: list[str], datatypes: list[str] | None = None) -> str:
    """Return how to tell the inputs that have these names, with a line to paste.

    `datatypes` are what is known of each.
    """
    plain = [name if _PLAIN.fullmatch(name) else json.dumps(name) for name in names or ["x"]]
    kinds = datatypes if datatypes and len(datatypes) == len(plain) else ["FP32"] * len(plain)
    inputs = ", ".join(
        f"{name}: {{shape: [batch, 16], datatype: {kind}}}"
        for name, kind in zip(plain, kinds)  # noqa: B905 - Python 3.8
    )
    return (
        f"Write them in cloche.yaml, with their own sizes and types: `inputs: {{{inputs}}}`. Or"
        " deploy with --example FILE, a request that the model answers, or log it with an"
        " input_example."
    )
