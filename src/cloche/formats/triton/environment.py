"""The environment of the Python models of a finished repository, from their requirements.txt.

A model whose config.pbtxt names no environment runs with the packages of the server, which are few
and not those that its author had. With a requirements.txt in its folder, or beside its model.py, it
gets an environment of its own. All models of a repository share one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.artifacts import ENVIRONMENT_PARAMETER, Finding, Severity
from cloche.environments.interpreters import PYTHONS
from cloche.environments.requirements import name_of
from cloche.errors import ErrorGroup, UsageError
from cloche.formats import requirement_files
from cloche.formats.agreement import Line, disagreements, merged
from cloche.formats.triton import libtorch
from cloche.model_config.names import PYTHON_VERSION_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from cloche.errors import ClocheError
    from cloche.model_config.finished import FinishedModel

SERVER_PYTHON = "3.12"
"""The Python of Triton's containers since 24.11, and the first choice of the server here.

Not that of the server which happens to be installed: the same repository has one lock everywhere.
"""


@dataclass(frozen=True, slots=True)
class Declared:
    """What the models of a repository declare; empty if no model has requirements."""

    requirements: tuple[str, ...] = ()
    python: str | None = None
    findings: tuple[Finding, ...] = ()


def declared(models: Iterable[FinishedModel], root: Path) -> Declared:
    """Return the packages of the models of the repository at `root`, for one Python.

    Raises ClocheError, or one ErrorGroup: `inspection.requirements` for a file that refers to one
    elsewhere, `inspection.requirements.disagree` for a package with two pins, `repository.python`
    for a Python that the server cannot run.
    """
    lines: list[Line] = []
    findings: list[Finding] = []
    concerned = []
    for model in models:
        for path in model.requirement_files:
            where = f"{model.name}/{path}"
            file = root / where
            recorded = requirement_files.read(file)
            inlined = requirement_files.inline(recorded, file.parent, where=where)
            kept, told = requirement_files.told_apart(inlined, where)
            lines += [Line(line, where) for line in kept]
            findings += told
            concerned += [model] if kept and model not in concerned else []
        if model.gets_environment and not model.requirement_files:
            lines += [Line(line, model.where) for line in libtorch.REQUIREMENTS]
            concerned.append(model)
    if not concerned:
        return Declared()
    python, errors = _python(concerned, root)
    errors += disagreements(lines, python)
    what = "The environment that the models declare cannot be made."
    ErrorGroup("inspection.environment", what, errors).raise_if_any()
    requirements = merged(lines, python)
    if "numpy" not in {name_of(line) for line in requirements}:
        requirements += ("numpy",)  # Triton's Python backend imports it
    told_python = [_locked(model, python) for model in concerned]
    return Declared(requirements, python, (*findings, *told_python))


def _python(models: list[FinishedModel], root: Path) -> tuple[str, list[ClocheError]]:
    """Return the Python that the models name, and an error for each that cannot be had."""
    named = dict(_named(models, root))
    errors: list[ClocheError] = [
        UsageError(
            "repository.python",
            f"{name} asks for Python {version}, which Triton cannot run.",
            where=f"{name}/{PYTHON_VERSION_FILE}",
            hint=f"Name one of {', '.join(PYTHONS)}.",
        )
        for name, version in named.items()
        if version not in PYTHONS
    ]
    if len(set(named.values())) > 1:
        listed = ", ".join(f"{version} ({name})" for name, version in named.items())
        errors.append(
            UsageError(
                "repository.python",
                f"The models ask for different Pythons: {listed}.",
                hint="The models of a repository share one environment: name the same one, or put "
                f"an environment into one model's folder and name it with {ENVIRONMENT_PARAMETER}.",
            )
        )
    return next(iter(named.values()), SERVER_PYTHON), errors


def _named(models: list[FinishedModel], root: Path) -> Iterator[tuple[str, str]]:
    for model in models:
        if PYTHON_VERSION_FILE in model.files:
            text = (root / model.name / PYTHON_VERSION_FILE).read_text("utf-8", "replace")
            first = (text.strip() or SERVER_PYTHON).split()[0].removeprefix("cpython-")
            yield model.name, ".".join(first.split(".")[:2])


def _locked(model: FinishedModel, python: str) -> Finding:
    chosen = PYTHON_VERSION_FILE in model.files
    why = f"as its {PYTHON_VERSION_FILE} says" if chosen else "that of Triton's own containers"
    names = f" Its config.pbtxt gets the parameter {ENVIRONMENT_PARAMETER}."
    added = "" if model.environment else names
    needed = f"The requirements of {model.name}"
    if not model.requirement_files:
        needed = f"{model.name} is served by {', '.join(libtorch.REQUIREMENTS)}. Its packages"
    return Finding(
        Severity.NOTE,
        "repository.requirements",
        f"{needed} are locked for Python {python}, {why}.{added}",
        f"{model.name}/{next(iter(model.requirement_files), 'config.pbtxt')}",
        None if chosen else f"Another Python is named in {model.name}/{PYTHON_VERSION_FILE}.",
    )
