"""Look-alikes of ONNX models, and how to convert each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.formats.format import Lookalike

if TYPE_CHECKING:
    from pathlib import Path

_UNSERVED = "which Cloche does not serve"


def _is_ort(_: Path, start: bytes) -> bool:
    return start.startswith(b"ORTM") or start[4:8] == b"ORTM"


LOOKALIKES = (
    Lookalike(
        f"a model in ONNX Runtime's own format, {_UNSERVED}", "name the ONNX file it was made from",
        suffixes=(".ort",), test=_is_ort,
    ),
)  # fmt: skip
