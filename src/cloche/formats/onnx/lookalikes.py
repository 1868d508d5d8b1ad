"""Look-alikes of ONNX models, and how to convert each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.formats.format import Lookalike
from cloche.formats.lookalikes import visible

if TYPE_CHECKING:
    from pathlib import Path

_EXPORT = "export the model to ONNX or log it with MLflow"
_UNSERVED = "which Cloche does not serve"


def _is_ort(_: Path, start: bytes) -> bool:
    return start.startswith(b"ORTM") or start[4:8] == b"ORTM"


def _is_hugging_face(path: Path, _: bytes) -> bool:
    names = visible(path)
    return "config.json" in names and any(n.endswith((".safetensors", ".bin")) for n in names)


LOOKALIKES = (
    Lookalike(
        f"weights in the safetensors format, {_UNSERVED}", _EXPORT, suffixes=(".safetensors",)
    ),
    Lookalike(
        f"a language model in the GGUF format, {_UNSERVED}", _EXPORT,
        suffixes=(".gguf",), starts=(b"GGUF",),
    ),
    Lookalike(
        f"a model in ONNX Runtime's own format, {_UNSERVED}", "name the ONNX file it was made from",
        suffixes=(".ort",), test=_is_ort,
    ),
    Lookalike(
        f"a model of Hugging Face's libraries, {_UNSERVED}",
        "export it with optimum-cli export onnx", test=_is_hugging_face,
    ),
)  # fmt: skip
