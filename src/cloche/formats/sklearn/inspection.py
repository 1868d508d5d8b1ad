"""The facts of a file that scikit-learn, XGBoost or LightGBM loads; nothing is loaded here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Loading
from cloche.environments.interpreters import PYTHONS
from cloche.errors import ClocheError, UsageError
from cloche.formats import unloaded
from cloche.formats.sklearn.contents import ESTIMATORS, Contents, Kind, contents
from cloche.formats.sklearn.requirements import requirements
from cloche.formats.unloaded import PYTHON

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot

_SHOWN = 6
FRAMEWORK = "sklearn"
"""What loads and converts all of them: `sklearn_model.py`, `sklearn_conversion.py`."""


def inspect_file(snapshot: ModelSnapshot, path: Path, options: ModelOptions) -> ModelFacts:
    """Return the facts of a pickle or a skops file.

    Raises ClocheError: `inspection.sklearn.damaged`, `conversion.content` for a pickle of anything
    but an estimator, `conversion.class` for classes of a script, `inspection.sklearn.python`.
    """
    held = contents(path)
    where = snapshot.pinned
    if held.damaged is not None:
        raise ClocheError(
            "inspection.sklearn.damaged",
            f"The file is not whole: {held.damaged}",
            where=where,
            hint="Save or download it again.",
        )
    if held.main:
        raise _of_script(held.main, where)
    if not ESTIMATORS.intersection(held.packages):
        raise ClocheError(
            "conversion.content",
            "The pickle holds no estimator: it names nothing of scikit-learn, XGBoost or LightGBM.",
            where=where,
            hint="Save the fitted estimator alone: joblib.dump(model, FILE).",
        )
    if held.is_dictionary:
        raise ClocheError(
            "conversion.content",
            "The pickle holds a dict, not an estimator."
            f" In it: {', '.join(held.classes[:_SHOWN])}.",
            where=where,
            hint="Save the estimator alone, joblib.dump(found['model'], FILE); of several steps one"
            " pipeline: sklearn.pipeline.make_pipeline(STEP, …, MODEL).",
        )
    python = _python(held, options, where)
    shown = "skops" if held.kind is Kind.SKOPS else "pickled"
    return facts(
        snapshot, options, f"{_first(held)}, {shown}", held.kind.value, python=python,
        packages=held.packages, recorded=held.versions,
    )  # fmt: skip


def facts(
    snapshot: ModelSnapshot,
    options: ModelOptions,
    framework: str,
    kind: str,
    *,
    python: str,
    packages: Iterable[str],
    recorded: Mapping[str, str],
) -> ModelFacts:
    """Return the facts of a file: what it is, and what its environment needs."""
    lines, findings = requirements(tuple(packages), recorded, options, python)
    more = {"method": options.method} if options.method else {}
    environment = unloaded.Environment(python, lines, findings)
    loaded = Loading(FRAMEWORK, kind, snapshot.entry, more)
    return unloaded.facts(snapshot, framework, loaded, environment)


def _first(held: Contents) -> str:
    """Return the framework of a model, which may stand in a pipeline of scikit-learn."""
    return next(
        name for name in ("scikit-learn", *held.packages) if name in ESTIMATORS & {*held.packages}
    )


def _of_script(names: tuple[str, ...], where: str) -> ClocheError:
    return ClocheError(
        "conversion.class",
        f"The model takes {', '.join(names)} from the script or the notebook that saved it"
        " (__main__), and nothing else can import it.",
        where=where,
        hint="Move it into a module of a package and name that under `requirements:`, or log the"
        " model with MLflow and code_paths.",
    )


def _python(held: Contents, options: ModelOptions, where: str) -> str:
    """Return the Python that loads a file: code by value fits one minor version alone."""
    wanted = options.python or PYTHON
    foreign = [versions for versions in held.pythons if wanted not in versions]
    if not foreign:
        return wanted
    fits = [each for each in PYTHONS if all(each in versions for versions in held.pythons)]
    if options.python is None and fits:
        return fits[0]
    written = " or ".join(foreign[0])
    raise UsageError(
        "inspection.sklearn.python",
        f"The pickle holds code that Python {written} compiled, and Python {wanted} cannot run it.",
        where=where,
        hint=f'Write `python: "{fits[0]}"` in cloche.yaml.'
        if fits
        else f"Save the model again with one of Python {', '.join(PYTHONS)}, or without cloudpickle"
        " from an installed module.",
    )
