"""Programs of other projects, built from their Go modules.

A module without replace directives is installed by its name. One with them is either built in its
own folder of the module cache, with its own go.sum, or, where the directives name folders that its
archive lacks (Kubernetes, etcd), from a module of ours that requires it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.harness import processes
from cluster.harness.errors import HarnessError, MissingError

BUILD_SECONDS = 3600.0
_LINK = "-s -w"


@dataclass(frozen=True, slots=True)
class Module:
    """A released Go module."""

    path: str
    version: str

    def __str__(self) -> str:
        return f"{self.path}@v{self.version}"


def install(module: Module, package: str, target: Path) -> None:
    """Build a package of a module that may be installed by its name."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".go-") as folder:
        name = f"{module.path}/{package}" if package else module.path
        words = ["install", "-trimpath", "-ldflags", _LINK, f"{name}@v{module.version}"]
        _go(words, folder=Path(folder), GOBIN=folder)
        (built,) = Path(folder).iterdir()
        built.rename(target)


def build_in_place(module: Module, package: str, target: Path, *, tags: str = "") -> None:
    """Build a package in its module's folder, as its authors do; `tags` are commas apart."""
    options = ("-tags", tags) if tags else ()
    _build(f"./{package}", target, *options, folder=folder_of(module))


def build_in_own_module(
    module: Module, package: str, target: Path, *, staging: str = "", link: str = ""
) -> None:
    """Build a package from a module that requires its module.

    Replaced folders are taken from the release `staging` of the modules that they hold; without it
    from the releases that the module itself requires. `link` are further words for the linker.
    """
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".go-") as name:
        folder = Path(name)
        lines = [
            "module cloche.test/programs",
            "go 1.26.0",
            f"require {module.path} v{module.version}",
        ]
        lines += _replacements(module, staging)
        (folder / "go.mod").write_text("\n".join(lines) + "\n")
        _build(f"{module.path}/{package}".rstrip("/"), target, "-mod=mod", folder=folder, link=link)


def build_file(source: Path, target: Path) -> None:
    """Build a program of ours that is one file and needs the standard library alone."""
    _build(source.name, target, folder=source.parent)


def folder_of(module: Module) -> Path:
    """Return where the files of a module stand; fetch it if need be."""
    return Path(_download(module)["Dir"])


def _replacements(module: Module, staging: str) -> list[str]:
    said = json.loads(_go(["mod", "edit", "-json", _download(module)["GoMod"]], folder=Path("/")))
    required = {each["Path"] for each in said.get("Require") or ()}
    lines = []
    for replace in said.get("Replace") or ():
        old, new = replace["Old"]["Path"], replace["New"]
        if not new["Path"].startswith("."):
            lines.append(f"replace {old} => {new['Path']} {new['Version']}")
        elif staging:
            lines.append(f"replace {old} => {old} v{staging}")
            if old in required:  # here as well, so that the program names its release, not v0.0.0
                lines.append(f"require {old} v{staging}")
    return lines


def _build(package: str, target: Path, *options: str, folder: Path, link: str = "") -> None:
    """Build under another name first: a killed build leaves no half program."""
    new = target.with_name(f".{target.name}.new")
    linker = f"{_LINK} {link}".strip()
    words = ["build", *options, "-trimpath", "-ldflags", linker, "-o", str(new), package]
    _go(words, folder=folder)
    new.rename(target)


def _download(module: Module) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        _go(["mod", "download", "-json", str(module)], folder=Path("/"))
    )
    return found


def _go(words: list[str], *, folder: Path, **more: str) -> str:
    program = shutil.which("go")
    if program is None:
        raise MissingError("needs Go 1.26 or newer (https://go.dev/dl) to build Kubernetes")
    if shutil.which(processes.WITH_US[0]) is None:
        raise MissingError(f"needs {processes.WITH_US[0]} (apt install util-linux)")
    settings = {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-buildvcs=false", **more}
    command = " ".join(["go", *words])
    try:
        done = subprocess.run(
            [*processes.WITH_US, program, *words], cwd=folder, env={**os.environ, **settings},
            capture_output=True, text=True, timeout=BUILD_SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise HarnessError(f"{command} took more than {BUILD_SECONDS:.0f} s") from error
    if done.returncode != 0:
        raise HarnessError(f"{command} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout
