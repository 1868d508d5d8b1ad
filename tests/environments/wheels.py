"""A package index of two tiny packages, so that tests need no network."""

from __future__ import annotations

import sys
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
"""The Python that runs the tests, as a lock names it."""


def write(  # noqa: PLR0917 - as a wheel's name has them
    folder: Path,
    name: str,
    version: str,
    requires: str | None = None,
    tag: str = "py3-none-any",
    python: str = ">=3",
    code: str = "",
) -> Path:
    """Write a wheel of a package with one module that knows its version, and has some code."""
    module = name.replace("-", "_")
    path = folder / name / f"{module}-{version}-{tag}.whl"
    path.parent.mkdir(exist_ok=True)
    info = f"{module}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Python: {python}\n"
    metadata += "".join(f"Requires-Dist: {each}\n" for each in (requires or "").split(", ") if each)
    files = {
        f"{module}.py": f"VERSION = {version!r}\n{code}",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        f"Tag: {tag}\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in (files | {f"{info}/RECORD": record}).items():
            archive.writestr(file, text)
    links = (f'<a href="{wheel.name}">{wheel.name}</a>' for wheel in path.parent.glob("*.whl"))
    (path.parent / "index.html").write_text(f"<!DOCTYPE html><html>{''.join(links)}</html>")
    return path


def index(folder: Path) -> dict[str, str]:
    """Write the packages and return the environment in which uv finds only them."""
    folder.mkdir()
    write(folder, "leaf", "1.0")
    write(folder, "leaf", "2.0")
    write(folder, "branch", "1.0", "leaf<3")
    return {"UV_DEFAULT_INDEX": folder.as_uri(), "UV_CACHE_DIR": f"{folder}-cache"}
