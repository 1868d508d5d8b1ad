"""The likely mend of requirements that uv cannot resolve, by its own words."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = r"(?P<name>[\w.-]+?)(?:[<>=!~][^ ]*)?"
_WHERE = (
    "Change it where the model records it (in MLflow: log the model again with pip_requirements;"
    " for a file: `requirements` in cloche.yaml)."
)
_FOR_PYTHON = (
    "and the model has Python {python}. Take a release of it for that Python, or {other_python}"
)
_OTHER_PYTHON = "another Python (`python` in cloche.yaml, or where the model records it)"


@dataclass(frozen=True, slots=True)
class _Remedy:
    said: str
    """A pattern of what uv says, on one line."""
    mend: str


_TABLE = (
    _Remedy(
        r"Couldn't parse requirement",
        "Write the line as `NAME==VERSION`. {where}",
    ),
    _Remedy(
        r"`sklearn`",
        "The package is called scikit-learn; sklearn is its module. {where}",
    ),
    _Remedy(
        r"(?P<name>[\w.-]+) was not found in the package registry",
        "Check the name: that of the package, not of a module. If {name} is private, name its index"
        " in a line `--extra-index-url ADDRESS` or in UV_INDEX, or put its code into the model's"
        " folder (in MLflow: code_paths).",
    ),
    _Remedy(
        rf"{_NAME} has no wheels with a matching platform tag",
        "{name} is not made for Linux on this kind of machine. Take a release that is, or leave it"
        " out if serving does not need it: `{name} ; sys_platform != 'linux'`.",
    ),
    _Remedy(
        rf"{_NAME} requires Python (?P<needs>[^ ]*[0-9])",
        "{name} is for Python {needs}, {for_python}.",
    ),
    _Remedy(
        r"does not satisfy Python(?P<needs>[^ ]*) and (?P<name>[\w.-]+)",
        "{name} is for Python {needs}, {for_python}.",
    ),
    _Remedy(
        rf"{_NAME} has no wheels with a matching Python ABI tag",
        "{name} has no wheel for Python {python}; uv names the Pythons that it has wheels for. Take"
        " a release of it that has one, or {other_python}.",
    ),
    _Remedy(
        r"there is no version of (?P<name>[\w.-]+)",
        "Check the version: the index does not have it. If another index has, name that in a line"
        " `--extra-index-url ADDRESS` or in UV_INDEX. {where}",
    ),
    _Remedy(
        r"\bdepends? on\b",
        "The pins contradict each other: take the version that the other package needs, as uv names"
        " it, or leave it open. {where}",
    ),
)
_ELSE = "Name packages that fit each other and have wheels for Python {python} on Linux. {where}"


def hint(words: str, python: str) -> str:
    """Return what most likely mends it, as sentences; `python` is the version asked for."""
    said = re.sub(r"\s+", " ", words)
    common = {"where": _WHERE, "other_python": _OTHER_PYTHON, "python": python}
    common["for_python"] = _FOR_PYTHON.format(**common)
    for remedy in _TABLE:
        if found := re.search(remedy.said, said):
            return remedy.mend.format(**common, **found.groupdict())
    return _ELSE.format(**common)
