"""Reading an ONNX file, and saying what is wrong with one that cannot be read.

The wire format is that of Protocol Buffers (https://protobuf.dev/programming-guides/encoding/) and
the message is ModelProto of onnx.proto. The top level is walked without reading the fields first,
so that a truncated file is told from one that was never a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.errors import ClocheError, ErrorGroup

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import BinaryIO

    from onnx import ModelProto, TensorProto

_GRAPH, _OPSET_IMPORT = 7, 8
_WIRE_TYPES = {
    1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, _GRAPH: 2, _OPSET_IMPORT: 2, 14: 2, 20: 2, 25: 2, 26: 2,
}  # fmt: skip
"""The wire type of each field of ModelProto: 0 a varint, 2 a length and that many bytes."""

_LOOKALIKES: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "is a Git LFS pointer, not the file itself",
     "Run `git lfs pull` in the repository it comes from."),
    (b"PK\x03\x04", "is a zip archive, as PyTorch and Keras write them",
     "Export the model to ONNX first, for example with torch.onnx.export."),
    (b"\x89HDF\r\n", "is an HDF5 file, as Keras writes them",
     "Export the model to ONNX first, for example with tf2onnx."),
    (b"\x80", "looks like a pickle, which Cloche never loads",
     "Export the model to ONNX, or log it with MLflow and deploy that."),
    (b"<", "is text (HTML or XML), perhaps the error page of a download",
     "Download the file again and look at its beginning."),
    (b"{", "is text (JSON)", "Name the .onnx file itself."),
    (b"ORTM", "is in ONNX Runtime's own format", "Deploy the ONNX file it was made from."),
    (b"GGUF", "is a GGUF file", "Deploy an ONNX file."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Field:
    number: int
    offset: int
    end: int


def read(path: Path) -> ModelProto:
    """Return the model without its external data; raises ClocheError when it is none."""
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    with path.open("rb") as file:
        _check_outline(path, file)
        file.seek(0)
        data = file.read()
    try:
        model = ModelProto.FromString(data)
    except DecodeError:
        raise ClocheError(
            "inspection.onnx.damaged",
            f"{path.name} begins as an ONNX model but its {len(data):,} bytes do not decode.",
            where=str(path),
            hint="Copy or export the file again; `onnx.checker.check_model` must accept it.",
        ) from None
    if not model.graph.output:
        raise ClocheError(
            "inspection.onnx.outputs",
            f"{path.name} is an ONNX model whose graph has no outputs.",
            where=str(path),
            hint="Export it again with the outputs that clients should get.",
        )
    return model


def _check_outline(path: Path, file: BinaryIO) -> None:
    """Walk the top level of the message by its lengths alone."""
    size = path.stat().st_size
    if size == 0:
        raise _not_a_model(path, "is empty", "Copy or export the file again.")
    head = file.read(64)
    for magic, what, hint in _LOOKALIKES:
        if head.startswith(magic):
            raise _not_a_model(path, what, hint)
    seen = _walk(path, file, size)
    if _GRAPH not in seen:
        hint = "Copy or export the file again."
        raise _not_a_model(path, "has the outline of an ONNX model but no graph", hint)
    if _OPSET_IMPORT not in seen:
        raise _truncated(path, size, None)


def _walk(path: Path, file: BinaryIO, size: int) -> set[int]:
    """Return the numbers of the fields of a whole message."""
    seen: set[int] = set()
    position = 0
    while position < size:
        found = _next_field(file, position)
        if isinstance(found, _Field) and found.end <= size:
            seen.add(found.number)
            position = found.end
        elif found == "cut" or (isinstance(found, _Field) and (found.number == _GRAPH or seen)):
            raise _truncated(path, size, found if isinstance(found, _Field) else None)
        else:
            raise _not_a_model(path, "is not an ONNX model", "Name the .onnx file itself.")
    return seen


def _next_field(file: BinaryIO, position: int) -> _Field | str:
    """Return the field at a position, `cut` where the file ends in it, `other` for no such one."""
    file.seek(position)
    data = file.read(20)
    tag, used = _varint(data, 0)
    if tag is None:
        return "cut"
    number, wire_type = tag >> 3, tag & 7
    if _WIRE_TYPES.get(number) != wire_type:
        return "other"
    value, used = _varint(data, used)
    if value is None:
        return "cut" if position else "other"
    return _Field(number, position, position + used + (value if wire_type == 2 else 0))


def _varint(data: bytes, start: int) -> tuple[int | None, int]:
    value = 0
    for index in range(start, min(start + 10, len(data))):
        value |= (data[index] & 0x7F) << 7 * (index - start)
        if data[index] < 0x80:
            return value, index + 1
    return None, start


def _not_a_model(path: Path, what: str, hint: str) -> ClocheError:
    code = "inspection.onnx.not_a_model"
    return ClocheError(code, f"{path.name} {what}.", where=str(path), hint=hint)


def _truncated(path: Path, size: int, field: _Field | None) -> ClocheError:
    needed = f" It needs at least {field.end:,} bytes." if field else ""
    return ClocheError(
        "inspection.onnx.truncated",
        f"{path.name} is an ONNX model that is cut off after {size:,} bytes.{needed}",
        where=str(path),
        hint="Copy or download the file again and compare its size with the original's.",
    )


# ── external data ─────────────────────────────────────────────────────────────────────────────


def check_external_data(tensors: Iterable[TensorProto], path: Path, root: Path) -> dict[str, int]:
    """Return the size of each file that holds weights, by its path relative to `path`'s folder.

    Every file must stand inside `root`, be there, and be as long as its tensors say; all that is
    wrong is reported at once.
    """
    needed: dict[str, int] = {}
    for tensor in tensors:
        location, end = _extent(tensor)
        needed[location] = max(needed.get(location, 0), end)
    sizes: dict[str, int] = {}
    errors: list[ClocheError] = []
    for location, end in needed.items():
        error = _external_error(location, end, path, root)
        if error is not None:
            errors.append(error)
        else:
            sizes[location] = (path.parent / location).stat().st_size
    if len(errors) == 1:
        raise errors[0]
    if errors:
        what = f"{len(errors)} files of weights of {path.name} cannot be used."
        raise ErrorGroup("inspection.onnx.external", what, errors)
    return sizes


def _extent(tensor: TensorProto) -> tuple[str, int]:
    entries: dict[str, Any] = {entry.key: entry.value for entry in tensor.external_data}
    try:
        end = int(entries.get("offset", 0)) + int(entries.get("length", 0))
    except ValueError:
        end = 0
    return str(entries.get("location", "")), end


def _external_error(location: str, end: int, path: Path, root: Path) -> ClocheError | None:
    target = path.parent / location
    where = f"{path}: {location}"
    inside = target.resolve().is_relative_to(root.resolve())
    if not location or location.startswith("/") or not inside:
        return ClocheError(
            "inspection.onnx.external_outside",
            f"The weights of {path.name} are said to be in {location!r}, outside its folder.",
            where=where,
            hint="Save the model again with its weights beside it: onnx.save_model(model, path, "
            "save_as_external_data=True, location='model.onnx.data').",
        )
    if not target.is_file():
        return ClocheError(
            "inspection.onnx.external_missing",
            f"The weights of {path.name} are in {location!r}, which is not there.",
            where=where,
            hint="Keep the file of weights beside the .onnx file, under the name it was saved as.",
        )
    size = target.stat().st_size
    if size < end:
        return ClocheError(
            "inspection.onnx.external_truncated",
            f"{location!r} has {size:,} bytes but {path.name} needs {end:,} of it.",
            where=where,
            hint="Copy or download the file of weights again.",
        )
    return None
