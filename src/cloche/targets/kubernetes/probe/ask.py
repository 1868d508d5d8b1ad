"""Asks the server of this pod its golden request, and exits with 0 if it may answer others.

`asked.json` beside this script: {model, requests: [{file, header_length}], outputs: [{name,
datatype, shape}], expected: {file, header_length} or null, tolerances: {name: number or null},
finite: [name], streams: whether it answers with streams}. The requests are tried in turn until one
is accepted; of a stream each answer has its types judged, and the last one its values. What is
wrong is the last line of the output: it begins with MARK if the server answered, and the answer is
not right.
"""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from exchange import DTYPES, decode  # type: ignore[import-not-found]

PORT, GRPC_PORT = 8000, 8001
FOLDER = Path(__file__).parent
MARK = "The golden request failed: "
LIMIT = 60.0

FLOATS = ("FP16", "BF16", "FP32", "FP64")

DTYPES.setdefault("BF16", "<u2")


def main() -> int:
    asked = json.loads((FOLDER / "asked.json").read_text(encoding="utf-8"))
    try:
        status, _, _ = _exchange("GET", "/v2/health/ready")
        said = MARK + _problem(asked) if status == 200 else "The models are not loaded yet."
    except (OSError, EOFError) as error:
        said = f"The server does not answer: {error}."
    if said != MARK:
        sys.stdout.write(f"{said}\n")
    return int(said != MARK)


def _exchange(
    method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes, str | None]:
    """Return status, body and the length of the JSON in it."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=LIMIT)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        length = answer.getheader("Inference-Header-Content-Length")
        return answer.status, answer.read(), length
    finally:
        connection.close()


def _problem(asked: dict[str, Any]) -> str:
    """Return what is wrong with the answers, empty if nothing is."""
    send, refusal = _stream if asked["streams"] else _ask, ""
    for request in asked["requests"]:
        answers, why = send(asked["model"], request)
        if not answers:
            refusal = refusal or why
            continue
        problems: list[str] = []
        for body, length in answers:
            got, datatypes = _tensors(body, length)
            problems = problems or _types(asked["outputs"], got, datatypes)
        if not problems and asked["expected"]:
            problems = _values(asked["expected"], asked["tolerances"], got)
        return " ".join(problems or _finite(asked["finite"], got, datatypes))
    return refusal


def _ask(model: str, request: dict[str, Any]) -> tuple[list[tuple[bytes, int | None]], str]:
    """Return the answer with the length of its JSON, or none and why."""
    headers = {"Content-Type": "application/json"}
    if request["header_length"] is not None:
        headers = {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(request["header_length"]),
        }
    body = Path(request["file"]).read_bytes()
    status, answer, length = _exchange("POST", f"/v2/models/{model}/infer", body, headers)
    if status != 200:
        return [], answer[:500].decode("utf-8", "replace") or f"Status {status}."
    return [(answer, int(length) if length else None)], ""


def _stream(model: str, request: dict[str, Any]) -> tuple[list[tuple[bytes, int]], str]:
    """Return the answers of a stream, each with the length of its JSON, or none and why."""
    import stream  # type: ignore[import-not-found]

    body, length = Path(request["file"]).read_bytes(), request["header_length"]
    try:
        answers = stream.ask(model, body, length, port=GRPC_PORT, limit=LIMIT)
    except stream.RefusedError as error:
        return [], str(error)
    return answers, "The stream ended without an answer."


def _tensors(body: bytes, length: int | None) -> tuple[dict[str, Any], dict[str, str]]:
    described = json.loads(body[:length])["outputs"]
    datatypes = {tensor["name"]: tensor["datatype"] for tensor in described}
    if length is not None:
        return decode(body, length, "outputs"), datatypes
    arrays = {}
    for tensor in described:
        kind = object if tensor["datatype"] == "BYTES" else DTYPES[tensor["datatype"]]
        arrays[tensor["name"]] = np.array(tensor["data"], dtype=kind).reshape(tensor["shape"])
    return arrays, datatypes


def _types(
    outputs: list[dict[str, Any]], got: dict[str, Any], datatypes: dict[str, str]
) -> list[str]:
    problems = []
    for output in outputs:
        name, shape = output["name"], output["shape"]
        if name not in got:
            problems.append(f"The output {name} is missing.")
        elif datatypes[name] != output["datatype"]:
            problems.append(f"The output {name} has the type {datatypes[name]}.")
        elif len(shape) != got[name].ndim or any(
            wanted not in (-1, size) for wanted, size in zip(shape, got[name].shape, strict=True)
        ):
            problems.append(f"The output {name} has the shape {list(got[name].shape)}.")
    return problems


def _values(
    expected: dict[str, Any], tolerances: dict[str, float | None], got: dict[str, Any]
) -> list[str]:
    wanted, datatypes = _tensors(
        (FOLDER / expected["file"]).read_bytes(), expected["header_length"]
    )
    problems = []
    for name, array in wanted.items():
        tolerance = tolerances[name]
        if tolerance is not None and not _agree(array, got[name], datatypes[name], tolerance):
            problems.append(f"The values of the output {name} are not the expected ones.")
    return problems


def _finite(names: list[str], got: dict[str, Any], datatypes: dict[str, str]) -> list[str]:
    return [
        f"The output {name} has values that are not finite."
        for name in names
        if not np.isfinite(_floats(got[name], datatypes[name])).all()
    ]


def _agree(wanted: Any, got: Any, datatype: str, tolerance: float) -> bool:
    """Compare as `cloche.verification.comparison` does: by the largest finite magnitude."""
    if wanted.shape != got.shape:
        return False
    if datatype not in FLOATS:
        return _texts(wanted) == _texts(got) if datatype == "BYTES" else bool((wanted == got).all())
    wanted, got = _floats(wanted, datatype), _floats(got, datatype)
    known = np.abs(wanted[np.isfinite(wanted)])
    allowed = tolerance * (float(known.max()) if known.size and known.max() > 0 else 1.0)
    same = (wanted == got) | (np.isnan(wanted) & np.isnan(got))
    with np.errstate(invalid="ignore"):
        return bool((same | (np.abs(got - wanted) <= allowed)).all())


def _floats(array: Any, datatype: str) -> Any:
    if datatype == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float64)


def _texts(array: Any) -> list[bytes]:
    return [item if isinstance(item, bytes) else str(item).encode() for item in array.ravel()]


if __name__ == "__main__":
    sys.exit(main())
