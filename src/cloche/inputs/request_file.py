"""A request in a file: JSON, .npy, .npz, CSV or an image, recognized by content."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloche.errors import ClocheError, UsageError

if TYPE_CHECKING:
    from cloche.clients.kserve.tensors import Tensor
    from cloche.inputs.declared import Declared

_ARRAYS = (b"\x93NUMPY", b"PK\x03\x04")
_BESIDE = frozenset({"outputs", "parameters", "params"})
"""What an example has beside its inputs."""
_SCORING = ("dataframe_split", "dataframe_records", "instances")
"""How MLflow's scoring server wraps its input (`inputs` is told apart on its own)."""
_HINT = "`cloche infer --help` says what a file may hold; --example prints a ready request."
_IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\x00", b"MM\x00*")


def request(source: str, declared: Declared) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the request in a file (or `-`, stdin): the declared tensors, and its parameters.

    Parameters are those of a KServe v2 request, or MLflow's `params`. Raises UsageError, or
    ErrorGroup with everything that does not fit.
    """
    from cloche.inputs.declared import fit

    where = "stdin" if source == "-" else source
    try:
        data = _bytes(source)
        tensors = fit(declared, _content(data, where, declared))
    except ClocheError as error:
        raise error.with_(where=error.where or where) from error
    return tensors, _parameters(data)


def tensors(source: str, declared: Declared) -> dict[str, Tensor]:
    """Return the tensors of a request alone; see `request`."""
    return request(source, declared)[0]


def _parameters(data: bytes) -> dict[str, Any]:
    if data.lstrip()[:1] != b"{":
        return {}
    document = json.loads(data)
    given: dict[str, Any] = {}
    for key in ("parameters", "params"):
        found = document.get(key)
        given |= found if isinstance(found, dict) else {}
    given.pop("binary_data_output", None)
    return given


def read(source: str, declared: Declared) -> Any:
    """Return the content of a file (or `-`, stdin) in a form for `cloche.inputs.declared.fit`.

    Raises UsageError for a file that is invalid for its format.
    """
    return _content(_bytes(source), "stdin" if source == "-" else source, declared)


def is_image(source: str) -> bool:
    """Return whether a file is an image; stdin, which can be read only once, is said to be none."""
    if source == "-":
        return False
    with Path(source).open("rb") as file:
        return _is_image(file.read(16))


def _content(data: bytes, where: str, declared: Declared) -> Any:
    try:
        return _read(data, where, declared)
    except UsageError as error:
        raise error.with_(hint=error.hint or _HINT) from error


def _read(data: bytes, where: str, declared: Declared) -> Any:
    if data.startswith(_ARRAYS):
        return _numpy(data, where)
    if _is_image(data):
        from cloche.inputs import request_image

        return request_image.read(data, where, declared)
    if data.lstrip()[:1] in {b"{", b"["}:
        return _json(data, where, declared)
    from cloche.inputs import request_table

    return request_table.read(_text(data, where), where, declared)


def _is_image(data: bytes) -> bool:
    """Return whether data begins like an image; the letters of BMP or WebP alone may be text."""
    bitmap = data.startswith(b"BM") and data[6:10] == bytes(4)
    return data.startswith(_IMAGES) or bitmap or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def _bytes(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except FileNotFoundError:
        raise UsageError("infer.file", "There is no such file.", where=source) from None
    except IsADirectoryError:
        raise UsageError("infer.file", "This is a folder, not a file.", where=source) from None


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(
            "infer.format",
            "This is neither JSON, .npy, .npz, an image nor CSV in UTF-8.",
            where=where,
        ) from None


def _numpy(data: bytes, where: str) -> Any:
    import numpy as np

    try:
        loaded = np.load(io.BytesIO(data), allow_pickle=False)
        return loaded if isinstance(loaded, np.ndarray) else {k: loaded[k] for k in loaded.files}
    except Exception as error:  # noqa: BLE001 - damaged headers and archives raise whatever comes
        raise UsageError(
            "infer.numpy",
            f"The arrays cannot be read: {error}",
            where=where,
            hint="Save plain arrays with numpy.save or numpy.savez; pickled objects are refused.",
        ) from None


def _json(data: bytes, where: str, declared: Declared) -> Any:
    """Return the values in JSON."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        place = f"{where}:{error.lineno}" if isinstance(error, json.JSONDecodeError) else where
        raise UsageError("infer.json", f"This is not JSON: {error}.", where=place) from None
    names = {tensor.name for tensor in declared.inputs}
    inputs = document.get("inputs") if isinstance(document, dict) else None
    if inputs is not None and _is_of_protocol(inputs):
        return {name: value for entry in inputs for name, value in [_entry(entry, where)]}
    if names and _is_of_mlflow(document, names):
        return _of_mlflow(document, declared)
    if isinstance(inputs, dict):
        return inputs
    if isinstance(inputs, list) and "inputs" not in names:
        return inputs  # the values of the only input, as MLflow's scoring server takes them
    if isinstance(document, dict):
        beside = _BESIDE - names
        return {name: value for name, value in document.items() if name not in beside}
    return document


def _is_of_mlflow(document: Any, names: set[str]) -> bool:
    """Return whether a document is as MLflow's scoring server takes it, or a list of records."""
    if isinstance(document, dict):
        return any(key in document and key not in names for key in _SCORING)
    records = isinstance(document, list) and bool(document)
    return records and all(isinstance(one, dict) and one.keys() <= names for one in document)


def _of_mlflow(document: Any, declared: Declared) -> Any:
    from cloche.inputs import mlflow_example

    specs = [tensor for tensor in declared.inputs if tensor.marks is None]
    if isinstance(document, dict):
        document = {key: value for key, value in document.items() if key not in _BESIDE}
    try:
        return mlflow_example.by_input(document, specs)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        why = error.args[0] if isinstance(error, KeyError) else error
        listed = ", ".join(tensor.name for tensor in specs)
        raise UsageError(
            "infer.json",
            f"The table does not fit the model: {why}.",
            hint=f"Its inputs are {listed}.",
        ) from None


def _is_of_protocol(inputs: Any) -> bool:
    """Return whether `inputs` are those of a KServe v2 request; an input may be called so too."""
    return (
        isinstance(inputs, list)
        and bool(inputs)
        and all(isinstance(entry, dict) and "name" in entry for entry in inputs)
    )


def _entry(entry: Any, where: str) -> tuple[str, Any]:
    """Return name and array of an input of a KServe v2 request; its data may be flat or nested."""
    import numpy as np

    try:
        name, shape, data = entry["name"], entry["shape"], entry["data"]
        return str(name), np.asarray(data).reshape([int(size) for size in shape])
    except (KeyError, TypeError):
        what = "An input of a v2 request has a name, a shape, a datatype and data."
    except ValueError as error:
        what = f"The input {entry['name']!r} does not fill its shape: {error}."
    raise UsageError("infer.json", what, where=where)
