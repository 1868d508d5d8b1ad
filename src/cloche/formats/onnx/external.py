"""The files of weights beside an ONNX model, checked: inside its folder, present, complete."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.errors import ClocheError, ErrorGroup
from cloche.formats.folders import inside, special
from cloche.units import count_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cloche.formats.onnx.codes import Codes
    from cloche.formats.onnx.file import ExternalData


def weights(model: Path, needed: Iterable[ExternalData], codes: Codes) -> dict[str, Path]:
    """Return the files of weights by their normalized path relative to the model's folder.

    Raises ClocheError, or ErrorGroup with all faults, for files that are outside that folder,
    missing, or too short.
    """
    files: dict[str, Path] = {}
    errors: list[ClocheError] = []
    for data in needed:
        try:
            location = _plain(data.location, model, codes)
            files[location] = _file(model, location, data.size, codes)
        except ClocheError as error:
            errors.append(error)
    what = f"{count_text(len(errors), 'file')} of weights of {model.name} cannot be used."
    ErrorGroup(codes.external, what, errors).raise_if_any()
    return files


def _plain(location: str, model: Path, codes: Codes) -> str:
    parts = PurePosixPath(location).parts
    if not parts or ".." in parts or location.startswith("/") or "\0" in location:
        raise ClocheError(
            codes.outside,
            f"{model.name} keeps weights in {location!r}, which is outside its folder.",
            where=str(model),
            hint="Save it again with weights beside it: onnx.save(model, path, "
            "save_as_external_data=True, location='model.onnx.data').",
        )
    return "/".join(parts)


def _file(model: Path, location: str, size: int, codes: Codes) -> Path:
    path = model.parent / location
    if not path.exists() and not path.is_symlink():
        raise ClocheError(
            codes.missing,
            f"{model.name} keeps weights in {location!r}, and that file is missing.",
            where=str(path),
            hint="Copy the file to the model's folder: the model is incomplete without it.",
        )
    real = inside(model.parent, path)
    if not real.is_file():
        raise special(path)
    actual = real.stat().st_size
    if actual < size:
        raise ClocheError(
            codes.short,
            f"{location!r} is cut off: it has {actual:,} bytes, and {model.name} needs {size:,} "
            "of it.",
            where=str(path),
            hint="Copy or download the file of weights again.",
        )
    return real
