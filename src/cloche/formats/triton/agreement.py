"""Whether a configuration says the same of its tensors as the model's own file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.errors import ClocheError, UsageError
from cloche.model_config.finished import declared

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cloche.artifacts import TensorSpec
    from cloche.formats.triton.completion import Completion
    from cloche.model_config.finished import FinishedModel


def errors_of(
    model: FinishedModel, root: Path, completions: Mapping[str, Completion]
) -> Iterator[UsageError]:
    """Yield what its backend would refuse when it loads the model; `root` is the repository.

    Only what no runtime could see otherwise: names, types, numbers of axes and fixed sizes.
    """
    completion = completions.get(model.backend)
    written = model.config.input or model.config.output
    if completion is None or not written or not model.served_versions:
        return
    path = root / model.name / str(model.served_versions[-1]) / str(model.filename)
    try:
        known = completion.inspect(path, path.name)
    except ClocheError:
        return  # a file that cannot be read is refused with its own error when it is used
    reshaped = {
        tensor.name
        for tensor in (*model.config.input, *model.config.output)
        if tensor.HasField("reshape")
    }
    for side, held in (("input", known.inputs), ("output", known.outputs)):
        by_name = {spec.name: spec for spec in held}
        for spec in declared(model.config, side):
            if spec.name not in by_name:
                yield _error(
                    model,
                    f"names the {side} {spec.name!r}, which the model does not have",
                    f"Its {side}s are {', '.join(by_name) or 'none'}.",
                )
            elif wrong := _difference(spec, by_name[spec.name], reshaped=spec.name in reshaped):
                yield _error(model, f"declares the {side} {spec.name} {wrong}", "Correct it.")


def _difference(written: TensorSpec, held: TensorSpec, *, reshaped: bool) -> str | None:
    """Return how a declared tensor cannot be the model's; None if it may be."""
    if written.datatype != held.datatype:
        return f"as {written.datatype}, and in the model it is {held.datatype}"
    # A scalar is written as [1].
    if reshaped or not held.shape or len(held.shape) == 1:
        return None
    shapes = f"{_text(written.shape)}, and in the model it is {_text(held.shape)}"
    if len(written.shape) != len(held.shape):
        return f"as {shapes}"
    pairs = zip(written.shape, held.shape, strict=True)
    different = any(-1 not in pair and pair[0] != pair[1] for pair in pairs)
    return f"as {shapes}" if different else None


def _text(shape: tuple[int, ...]) -> str:
    return f"[{', '.join('?' if size < 0 else str(size) for size in shape)}]"


def _error(model: FinishedModel, what: str, hint: str) -> UsageError:
    return UsageError(
        "repository.tensors", f"The configuration of {model.name} {what}.", where=model.where,
        hint=hint,
    )  # fmt: skip
