"""What models of TensorFlow and Keras need to be loaded."""

from __future__ import annotations

import platform
import re

from packaging.version import InvalidVersion, Version

from cloche.artifacts import Finding, ModelOptions, Severity
from cloche.environments.requirements import name_of
from cloche.formats import unloaded
from cloche.formats.unloaded import PYTHON

TESTED = {"tensorflow": "2.21.0", "keras": "3.15.1"}
"""The newest releases that were tried here, for files that name none."""
_OLDEST = {"tensorflow": "2.16.1", "keras": "3.0.0"}
"""The first releases for Python 3.12 (TensorFlow), and of Keras without TensorFlow's own copy."""
_TITLES = {"tensorflow": "TensorFlow", "keras": "Keras"}

Required = tuple[tuple[str, ...], tuple[Finding, ...]]


def of_saved_model(version: str | None, options: ModelOptions) -> Required:
    """Return the requirements of a SavedModel that a release of TensorFlow wrote, and findings."""
    chosen, why = _release("tensorflow", version, options)
    return _told((f"tensorflow=={chosen}",), why, options)


def of_keras(version: str | None, options: ModelOptions) -> Required:
    """Return the requirements of a file that a release of Keras wrote, and findings."""
    chosen, why = _release("keras", version, options)
    tested = chosen == TESTED["keras"]
    beside = f"tensorflow=={TESTED['tensorflow']}" if tested else "tensorflow"
    return _told((f"keras=={chosen}", beside), why, options)


def on_cpu(lines: tuple[str, ...]) -> Required:
    """Return requirements with TensorFlow's build for CPUs in the place of the full one."""
    if platform.machine().lower() not in {"x86_64", "amd64"} or not has_tensorflow(lines):
        return lines, ()
    replaced = tuple(
        re.sub(r"^[\w.-]+", "tensorflow-cpu", line) if name_of(line) == "tensorflow" else line
        for line in lines
    )
    replaced = tuple(dict.fromkeys(replaced))
    if replaced == lines:
        return lines, ()
    what = "TensorFlow is installed as tensorflow-cpu, its build for CPUs, which needs no CUDA."
    return replaced, (Finding(Severity.NOTE, "inspection.tensorflow.cpu", what),)


def has_tensorflow(lines: tuple[str, ...]) -> bool:
    """Return whether requirements name TensorFlow, in either build."""
    return bool({name_of(line) for line in lines} & {"tensorflow", "tensorflow-cpu"})


def _release(package: str, recorded: str | None, options: ModelOptions) -> tuple[str, str]:
    """Return the release to load a file with, and why."""
    title, tested = _TITLES[package], TESTED[package]
    if recorded is None:
        return tested, f"the file names no release of {title}, and it is the newest that was tested"
    try:
        version = Version(recorded)
    except InvalidVersion:
        version = None
    if version is None or version.is_prerelease or version.local:
        return tested, f"the index has no {title} {recorded}, and later ones read its files"
    if options.python in {None, PYTHON} and version < Version(_OLDEST[package]):
        why = f"{title} {recorded} cannot be installed for Python {PYTHON}"
        return tested, f"{why}, and later ones read its files"
    return recorded, f"the file records the release of {title}"


def _told(lines: tuple[str, ...], why: str, options: ModelOptions) -> Required:
    if options.requirements:
        return on_cpu(options.requirements)
    chosen, findings = on_cpu(lines)
    return chosen, (unloaded.assumed(chosen, why), *findings)
