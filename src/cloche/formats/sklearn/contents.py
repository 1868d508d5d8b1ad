"""What a pickle or a skops file tells of its model without being loaded."""

from __future__ import annotations

import enum
import mmap
import re
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche import pickles

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.pickles import Scan

_SCHEMA = "schema.json"
_LARGEST_SCHEMA = 256 * 2**20
_RECORDED = {
    "scikit-learn": re.compile(rb'"_sklearn_version": \{[^{}]*?"content": "\\"([^"\\]+)\\""'),
    "skops": re.compile(rb'"_skops_version": "([^"]+)"'),
}
"""How skops writes the versions into its schema (skops.io)."""
_MODULE = re.compile(rb'"__module__": "([\w.]+)"')
_UBJSON_VERSION = re.compile(rb"version\[#L\0{7}\x03[iU](.)[iU](.)[iU](.)", re.DOTALL)
"""The last entry of a booster in UBJSON, `[3, 4, 1]`: three integers of a byte each."""
_PACKAGES = {
    "sklearn": "scikit-learn", "xgboost": "xgboost", "lightgbm": "lightgbm",
    "imblearn": "imbalanced-learn", "category_encoders": "category-encoders",
    "catboost": "catboost", "feature_engine": "feature-engine", "scipy": "scipy",
    "pandas": "pandas", "cloudpickle": "cloudpickle", "dill": "dill", "statsmodels": "statsmodels",
}  # fmt: skip
"""The package on the index of a first module, where it is known."""
ESTIMATORS = frozenset({
    "scikit-learn", "xgboost", "lightgbm", "imbalanced-learn", "category-encoders", "catboost",
    "feature-engine",
})  # fmt: skip
"""Packages of which a model's file has to name one."""


class Kind(enum.StrEnum):
    """How a file is loaded."""

    PICKLE = "pickle"
    """By joblib, which reads plain pickles as well."""
    SKOPS = "skops"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file tells without being loaded."""

    kind: Kind
    packages: tuple[str, ...]
    """Packages on the index whose names it imports, as far as they are known."""
    versions: dict[str, str]
    """The releases that it records, by package; of numpy the major one."""
    main: tuple[str, ...] = ()
    """Names that it takes from the script which saved it."""
    pythons: tuple[tuple[str, ...], ...] = ()
    """For each kind of bytecode in it, the Python versions that may have written it."""
    classes: tuple[str, ...] = ()
    """The classes of those packages that it names."""
    is_dictionary: bool = False
    """Whether it holds a dictionary, and estimators at most in that."""
    damaged: str | None = None
    """Why it cannot be read to its end."""


def is_one(path: Path) -> bool:
    """Return whether a file is a pickle or a skops file, by its beginning."""
    return pickles.begins_like_a_pickle(path) or is_skops(path)


def is_skops(path: Path) -> bool:
    """Return whether a file is one of skops."""
    return _schema(path) is not None


def contents(path: Path) -> Contents:
    """Return what a pickle or a skops file tells; the whole file is read."""
    schema = _schema(path)
    if schema is not None:
        return _of_skops(schema)
    scan = pickles.scan(path)
    versions = {name: found[-1] for name, found in scan.versions.items() if found}
    packages = _packages({name.module for name in scan.names})
    if "xgboost" in packages and (written := version_of_booster(path)):
        versions["xgboost"] = written
    classes = {
        name.name: None
        for name in scan.names
        if name.name[:1].isupper() and ESTIMATORS.intersection(_packages({name.module}))
    }
    return Contents(
        Kind.PICKLE, packages, versions, scan.main, scan.pythons, tuple(classes),
        is_dictionary=scan.made == "dict", damaged=_damage(scan),
    )  # fmt: skip


def version_of_booster(path: Path) -> str | None:
    """Return the release of XGBoost that wrote a booster in a file, None if it is not told.

    In a compressed file it is not found.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = _UBJSON_VERSION.search(data)
        return ".".join(str(ord(part)) for part in found.groups()) if found else None


def _damage(scan: Scan) -> str | None:
    unread = [one for one in scan.problems if one.code == "pickle.unreadable"]
    return unread[0].what if unread else None


def _packages(modules: set[str]) -> tuple[str, ...]:
    first = {module.partition(".")[0] for module in modules}
    return tuple(sorted({_PACKAGES[name] for name in first if name in _PACKAGES}))


def _of_skops(schema: bytes) -> Contents:
    modules = {found.decode() for found in _MODULE.findall(schema)}
    versions = {
        name: found[1].decode()
        for name, pattern in _RECORDED.items()
        if (found := pattern.search(schema))
    }
    return Contents(Kind.SKOPS, (*_packages(modules), "skops"), versions)


def _schema(path: Path) -> bytes | None:
    """Return the schema of a skops file; None for anything else."""
    try:
        with path.open("rb") as file:
            if not file.read(4).startswith(b"PK\x03\x04"):
                return None
        with zipfile.ZipFile(path) as archive:
            if _SCHEMA not in archive.namelist():
                return None
            if archive.getinfo(_SCHEMA).file_size > _LARGEST_SCHEMA:
                return None
            schema = archive.read(_SCHEMA)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError):
        return None
    return schema if b'"_skops_version"' in schema else None
