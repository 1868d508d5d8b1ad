"""The spec of a command line: from a model reference, `-f FILE`, or ./cloche.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cloche.cli import session
from cloche.cli.usage import refuse_together
from cloche.errors import UsageError

if TYPE_CHECKING:
    from cloche.artifacts import KubernetesPlace
    from cloche.spec import ServiceSpec

DEFAULT_FILE = "cloche.yaml"


def chosen(
    model: str | None, file: Path | None, name: str | None, example: Path | None = None
) -> tuple[ServiceSpec, Path]:
    """Return the spec and the folder that its relative paths start from.

    `example` takes the place of the spec's own.
    """
    chosen_spec, directory = _without_example(model, file, name)
    if example is None:
        return chosen_spec, directory
    return chosen_spec.with_example(example.absolute()), directory


def place(target: str | None, file: Path | None = None) -> KubernetesPlace | None:
    """Return the place of a name in the targets of a cloche.yaml; None without a name.

    Raises UsageError `usage.target` for a name that is not there.
    """
    if target is None:
        return None
    with session.interrupt_held():
        from cloche import spec

    path = file or Path(DEFAULT_FILE)
    if not path.is_file():
        raise UsageError(
            "usage.target",
            f"No cloche.yaml says what the target {target!r} is.",
            where=str(path.absolute()),
            hint="Write `targets:` in a cloche.yaml and name it with -f, or go to its folder.",
        )
    return spec.load(path).place(target, path)


def _without_example(
    model: str | None, file: Path | None, name: str | None
) -> tuple[ServiceSpec, Path]:
    with session.interrupt_held():
        from cloche import spec

    refuse_together(MODEL=model, **{"--file": file})
    if model is not None:
        _refuse_spec_file(model)
        return spec.from_reference(model, name, directory=Path.cwd()), Path.cwd()
    path = file or _default_file()
    return spec.load(path, name), path.absolute().parent


def _refuse_spec_file(model: str) -> None:
    if model.endswith((".yaml", ".yml")) and Path(model).is_file():
        raise UsageError(
            "usage.spec_as_model", f"{model} is a spec, not a model.", hint=f"Write -f {model}."
        )


def _default_file() -> Path:
    path = Path(DEFAULT_FILE)
    if not path.is_file():
        raise UsageError(
            "usage.no_model",
            f"No model was named, and this folder has no {DEFAULT_FILE}.",
            where=str(Path.cwd()),
            hint="Write `cloche deploy MODEL`, or `cloche init MODEL` to write a first file.",
        )
    return path
