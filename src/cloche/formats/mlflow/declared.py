"""The environment that an MLflow folder declares, in up to three files.

    requirements.txt   packages of the index
    conda.yaml         Python, packages of conda, and packages of the index below `pip:`
    python_env.yaml    Python, and usually `-r requirements.txt`

MLflow writes the same packages into all of them. What any of them lists is needed; where two pin
one package (or Python) differently, the model is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from cloche.artifacts import Finding, Severity
from cloche.errors import ClocheError, ErrorGroup
from cloche.formats import requirement_files
from cloche.formats.agreement import Line, disagreements, merged
from cloche.formats.mlflow import conda
from cloche.formats.mlflow.documents import read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUIREMENTS = "requirements.txt"
CONDA = "conda.yaml"
PYTHON_ENV = "python_env.yaml"


@dataclass(frozen=True, slots=True)
class CondaFile:
    """The content of a conda.yaml."""

    pip: tuple[str, ...] = ()
    packages: tuple[conda.CondaPackage, ...] = ()
    """All of its conda packages but Python and pip."""
    python: conda.CondaPackage | None = None
    unread: tuple[str, ...] = ()
    """Lines that are no package."""


@dataclass(slots=True)
class _Collected:
    lines: list[Line] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    errors: list[ClocheError] = field(default_factory=list)

    def add(self, lines: tuple[str, ...], where: str) -> None:
        kept, findings = requirement_files.told_apart(lines, where)
        self.lines += [Line(line, where) for line in kept]
        self.findings += findings


def requirements(
    folder: Path, recorded: tuple[str, ...], python: str
) -> tuple[tuple[str, ...], list[Finding]]:
    """Return all packages that a folder declares for a Python (`3.11`), and what is worth telling.

    `recorded` are the requirements that count in a folder without a requirements.txt. Raises
    ClocheError, or one ErrorGroup: `inspection.requirements.disagree` for a package or a Python
    with two pins, `inspection.mlflow.conda` for a conda package that the index cannot be asked for.
    """
    found = _Collected()
    path = folder / REQUIREMENTS
    own = requirement_files.read(path) if path.is_file() else recorded
    found.add(requirement_files.inline(own, folder), REQUIREMENTS)
    conda_file = read_conda(folder)
    found.add(requirement_files.inline(conda_file.pip, folder, where=CONDA), CONDA)
    _add_conda_packages(found, conda_file)
    listed = tuple(_listed(folder))
    found.add(requirement_files.inline(listed, folder, where=PYTHON_ENV), PYTHON_ENV)
    errors = [
        *found.errors,
        *_python_errors(folder, conda_file),
        *disagreements(found.lines, python),
    ]
    what = "The environment that the model declares cannot be made."
    ErrorGroup("inspection.environment", what, errors).raise_if_any()
    return merged(found.lines, python), found.findings


def _add_conda_packages(found: _Collected, conda_file: CondaFile) -> None:
    missing = list(conda_file.unread)
    for package in conda_file.packages:
        try:
            line = conda.requirement(package)
        except ValueError as error:
            found.errors.append(_unwritable(package, str(error)))
            continue
        if line is None:
            missing.append(package.written)
        else:
            found.lines.append(Line(line, CONDA))
    if missing:
        what = "The environment is made from the Python package index, which does not have these "
        what += f"conda packages: {', '.join(missing)}."
        hint = "What the model needs of them must be on this machine, or in a package of the index."
        found.findings.append(
            Finding(Severity.WARNING, "inspection.mlflow.conda", what, CONDA, hint)
        )


def _unwritable(package: conda.CondaPackage, why: str) -> ClocheError:
    return ClocheError(
        "inspection.mlflow.conda",
        f"The conda package {package.written!r} cannot be asked for from the package index: {why}.",
        where=CONDA,
        hint=f"List {package.name} below `pip:` in conda.yaml, with a version of the index.",
    )


def _listed(folder: Path) -> Iterator[str]:
    """Yield the packages of python_env.yaml; what it refers to is read by itself."""
    path = folder / PYTHON_ENV
    listed = read_yaml(path).get("dependencies") if path.is_file() else None
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, str) and item.split() != ["-r", REQUIREMENTS]:
            yield from requirement_files.lines_of(item)


def read_conda(folder: Path) -> CondaFile:
    """Return the content of conda.yaml, empty if there is none; raises source.mlflow.mlmodel."""
    path = folder / CONDA
    items = read_yaml(path).get("dependencies") if path.is_file() else None
    pip: list[str] = []
    packages: list[conda.CondaPackage] = []
    unread: list[str] = []
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict):
            pip += _pip_lines(item.get("pip"))
        elif (package := conda.parse(str(item))) is None:
            unread.append(str(item))
        else:
            packages.append(package)
    python = next((package for package in packages if package.name == "python"), None)
    others = tuple(package for package in packages if package.name not in {"python", "pip"})
    return CondaFile(tuple(pip), others, python, tuple(unread))


def _pip_lines(listed: Any) -> list[str]:
    items = listed if isinstance(listed, list) else []
    return [line for item in items for line in requirement_files.lines_of(str(item))]


def python_of(folder: Path) -> str | None:
    """Return the Python version that python_env.yaml names, else conda.yaml."""
    return _python_env(folder) or _pinned(_conda_python(read_conda(folder))[1])


def _python_env(folder: Path) -> str | None:
    path = folder / PYTHON_ENV
    named = read_yaml(path).get("python") if path.is_file() else None
    return str(named) if named else None


def _conda_python(conda_file: CondaFile) -> tuple[str, SpecifierSet | None]:
    """Return the line of Python in conda.yaml, and the range that it allows."""
    package = conda_file.python
    return (package.written, conda.python_of(package)) if package is not None else ("", None)


def _python_errors(folder: Path, conda_file: CondaFile) -> Iterator[ClocheError]:
    named, (line, allowed) = _python_env(folder), _conda_python(conda_file)
    if named and allowed is not None and not _allows(allowed, named):
        yield ClocheError(
            "inspection.requirements.disagree",
            f"The model's files disagree on Python: {named} ({PYTHON_ENV}), but {line} ({CONDA}).",
            where=f"{PYTHON_ENV}, {CONDA}",
            hint="Keep the version that the model was trained with, and write it into both files.",
        )


def _allows(allowed: SpecifierSet, version: str) -> bool:
    """Return whether a range has a Python of the same minor version, which is all that counts."""
    try:
        release = Version(version).release
    except InvalidVersion:
        return True
    minor = ".".join(map(str, release[:2]))
    tried = {version, *(f"{minor}.{micro}" for micro in range(40))}
    return any(allowed.contains(each, prereleases=True) for each in tried)


def _pinned(allowed: SpecifierSet | None) -> str | None:
    """Return the version that a range is pinned to, None if it leaves a choice."""
    exact = [clause.version for clause in allowed or () if clause.operator in {"==", "==="}]
    return exact[0].removesuffix(".*") if exact else None
