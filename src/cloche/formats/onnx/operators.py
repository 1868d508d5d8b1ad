"""The operators, operator sets and file version of the pinned ONNX Runtime.

`operators.json` was read from the runtime itself (its CPU kernels, and the operators that are
functions of others); a test compares it with the installed runtime.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping


@cache
def runtime() -> dict[str, Any]:
    """Return the table: `runtime`, `ir_version`, `opsets`, `operators`, `elsewhere` by domain."""
    table: dict[str, Any] = json.loads(
        files("cloche.formats.onnx").joinpath("operators.json").read_text(encoding="utf-8")
    )
    return table


def unsupported(operators: Mapping[str, int]) -> tuple[str, ...]:
    """Return the operators (`Domain.Name`) that the runtime lacks."""
    table = runtime()
    known = {
        f"{domain}.{name}"
        for kind in ("operators", "elsewhere")
        for domain, names in table[kind].items()
        for name in names
    }
    return tuple(name for name in operators if name not in known)


def findings(
    operators: Mapping[str, int], opsets: Mapping[str, int], ir_version: int
) -> list[Finding]:
    """Return findings about operators and versions that the runtime lacks."""
    table = runtime()
    lacks = []
    missing = unsupported(operators)
    if missing:
        hint = (
            "Export the model with operators of ONNX itself, or serve it as a Python model; "
            "libraries of custom operators are not loaded."
        )
        what = f"{table['runtime']} has no operator {', '.join(missing)}."
        lacks.append(Finding(Severity.ERROR, "inspection.onnx.operator", what, hint=hint))
    elsewhere = [
        name
        for name in operators
        if name.rpartition(".")[2] in table["elsewhere"].get(name.rpartition(".")[0], ())
    ]
    if elsewhere:
        what = f"{table['runtime']} runs {', '.join(elsewhere)} on some accelerators only."
        hint = "Export the model for the CPU to serve it there."
        lacks.append(Finding(Severity.WARNING, "inspection.onnx.accelerator", what, hint=hint))
    lacks.extend(_versions(opsets, ir_version))
    return lacks


def _versions(opsets: Mapping[str, int], ir_version: int) -> list[Finding]:
    table = runtime()
    lacks = []
    for domain, version in opsets.items():
        newest = table["opsets"].get(domain)
        if newest is not None and version > newest:
            what = (
                f"The model uses {domain} opset {version}; {table['runtime']} knows up to {newest}."
            )
            hint = f"Export it with opset {newest} or older, or use onnx.version_converter."
            lacks.append(Finding(Severity.ERROR, "inspection.onnx.opset", what, hint=hint))
    if 0 < opsets.get("ai.onnx", 7) < 7:
        what = (
            f"The model uses ai.onnx opset {opsets['ai.onnx']}; the runtime guarantees 7 and newer."
        )
        hint = "Convert it with onnx.version_converter."
        lacks.append(Finding(Severity.WARNING, "inspection.onnx.opset_old", what, hint=hint))
    if ir_version > table["ir_version"]:
        what = (
            f"The file has IR version {ir_version}; {table['runtime']} reads up to "
            f"{table['ir_version']}."
        )
        hint = f"Save it with model.ir_version = {table['ir_version']}."
        lacks.append(Finding(Severity.ERROR, "inspection.onnx.ir_version", what, hint=hint))
    return lacks
