"""Parse → validate → complete: a file, or a model reference alone, becomes a ServiceSpec."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from cloche.errors import ErrorGroup, UsageError
from cloche.spec import document, names
from cloche.spec.model import ServiceSpec
from cloche.spec.problems import errors_of
from cloche.units import size_text

if TYPE_CHECKING:
    from collections.abc import Callable


def load(path: Path, name: str | None = None) -> ServiceSpec:
    """Read a cloche.yaml, completed with a name; `name` overrides the one in the file.

    Relative paths in it start from its folder. Raises ErrorGroup (spec.invalid) with all mistakes
    and their lines, or UsageError for an invalid `name`.
    """
    spec = parse(_text(path), where=str(path), directory=path.absolute().parent)
    if name is None:
        return spec
    return spec.with_name(from_reference(spec.model, name).service_name, derived=False)


def parse(text: str, *, where: str = "cloche.yaml", directory: Path | None = None) -> ServiceSpec:
    """Parse the text of a cloche.yaml; errors name it as `where:line`."""
    try:
        root, errors = document.read(text, where)
    except UsageError as error:
        raise _group(where, [error]) from None
    if not isinstance(root.value, dict):
        what = f"The file is {'a list' if isinstance(root.value, list) else 'a single value'}."
        hint = "Write keys, one per line, such as model: ./model.onnx."
        wrong = UsageError("spec.not_a_mapping", what, where=f"{where}:{root.line}", hint=hint)
        raise _group(where, [*errors, wrong])

    def place(path: tuple[str | int, ...]) -> str:
        return f"{where}:{root.line_of(path)}"

    spec, mistakes = _validate(root.plain(), place, directory)
    if spec is None or errors or mistakes:
        raise _group(where, sorted([*errors, *mistakes], key=_line))
    return spec


def from_reference(
    model: str, name: str | None = None, *, directory: Path | None = None
) -> ServiceSpec:
    """Return the spec of a model reference alone.

    `directory` is the start of a relative path, to name a reference such as `.`. Raises UsageError
    for one mistake, ErrorGroup for several.
    """
    written = {"model": model} if name is None else {"model": model, "name": name}
    spec, mistakes = _validate(written, lambda path: str(path[0]), directory)
    if len(mistakes) == 1:
        raise mistakes[0]
    if spec is None:
        raise _group(None, mistakes)
    return spec


def _validate(
    written: dict[str, Any],
    place: Callable[[tuple[str | int, ...]], str | None],
    directory: Path | None,
) -> tuple[ServiceSpec | None, list[UsageError]]:
    try:
        spec = ServiceSpec.model_validate(written)
    except ValidationError as invalid:
        return None, errors_of(invalid, place)
    if spec.name is not None:
        return spec, []
    name = names.from_reference(spec.model, directory)
    if name is None:
        what = f"The reference {spec.model!r} gives the service no name."
        hint = "Write `name: NAME` in the file, or give --name NAME."
        return None, [UsageError("spec.name", what, where=place(("model",)), hint=hint)]
    return spec.with_name(name, derived=True), []


def _text(path: Path) -> str:
    where = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(document.MAX_BYTES + 1)
    except FileNotFoundError:
        hint = "Name another with -f FILE, or write one with `cloche init MODEL`."
        raise UsageError(
            "spec.not_found", f"There is no {path.name} here.", where=where, hint=hint
        ) from None
    except OSError as error:
        instead = path / "cloche.yaml" if path.is_dir() else "another with -f FILE"
        what = f"The file cannot be read: {error.strerror}."
        raise UsageError("spec.unreadable", what, where=where, hint=f"Name {instead}.") from None
    if len(data) > document.MAX_BYTES:
        what = f"The file is larger than {size_text(document.MAX_BYTES)}."
        hint = "A cloche.yaml has a few lines; was a model named with -f?"
        raise UsageError("spec.too_large", what, where=where, hint=hint)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        hint = "Save it as UTF-8; was a model named with -f?"
        raise UsageError(
            "spec.encoding", "The file is not UTF-8 text.", where=f"{where}:{line}", hint=hint
        ) from None


def _group(where: str | None, errors: list[UsageError]) -> ErrorGroup:
    count = "one mistake" if len(errors) == 1 else f"{len(errors)} mistakes"
    subject = Path(where).name if where else "The service"
    return ErrorGroup("spec.invalid", f"{subject} has {count}.", errors)


def _line(error: UsageError) -> int:
    line = (error.where or "").rpartition(":")[2]
    return int(line) if line.isdigit() else 0
