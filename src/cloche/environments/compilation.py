"""Runs `uv pip compile` over a model's requirements: the pinned lines, and their files' sizes."""

from __future__ import annotations

import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloche.environments import uv
from cloche.environments.requirements import name_of
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cloche.environments.pins import Pin
    from cloche.environments.requirements import Requirements

_SECONDS = 900.0
_SIZES_SECONDS = 60.0
_IN_PLACE_OF = {"tensorflow-cpu": "tensorflow"}
"""Packages with the modules of another: where one is asked for, the other is not installed, though
more packages name it."""


@dataclass(frozen=True, slots=True)
class Compiler:
    """Resolves requirements for a Python version, on this platform, from a user's indexes."""

    python: str
    environment: Mapping[str, str]

    def pin(self, parsed: Requirements) -> str:
        """Return uv's lines for all packages that are needed, as `pins.parse` reads them.

        Raises the errors of `uv.run`.
        """
        arguments = ["--generate-hashes", "--no-header", "--annotation-style", "line"]
        if parsed.prereleases:
            arguments += ["--prerelease", "allow"]
        replaced = {name_of(line) for line in parsed.packages} & _IN_PLACE_OF.keys()
        # An override that applies nowhere takes a package out (uv, "Dependency overrides").
        never = [f"{_IN_PLACE_OF[name]} ; sys_platform == 'none'" for name in sorted(replaced)]
        files = {
            "requirements.in": (*parsed.indexes, *parsed.builds, *parsed.packages),
            "constraints.txt": parsed.constraints,
            "overrides.txt": never,
        }
        return self._compile(files, arguments, _SECONDS)

    def sizes(self, parsed: Requirements, pins: Sequence[Pin]) -> dict[str, int]:
        """Return the bytes of the largest file that each pinned package may be installed from.

        What the indexes said is in uv's cache, where `pin` left it. Packages whose size they do not
        give are left out.
        """
        lines = (*parsed.indexes, *parsed.builds, *map(str, pins))
        arguments = ["--format", "pylock.toml", "--no-deps", "--offline", "--prerelease", "allow"]
        try:
            written = self._compile({"requirements.in": lines}, arguments, _SIZES_SECONDS)
            packages = tomllib.loads(written)["packages"]
        except (ClocheError, tomllib.TOMLDecodeError, KeyError):
            return {}
        largest = {package["name"]: _largest(package) for package in packages}
        return {name: size for name, size in largest.items() if size is not None}

    def _compile(
        self, files: Mapping[str, Sequence[str]], more: Sequence[str], timeout: float
    ) -> str:
        arguments = [
            "pip", "compile", "requirements.in", "--python-version", self.python, "--quiet",
            "--only-binary", ":all:", *more,
        ]  # fmt: skip
        for name in ("constraints", "overrides"):
            arguments += [f"--{name}", f"{name}.txt"] if files.get(f"{name}.txt") else []
        with tempfile.TemporaryDirectory(prefix="cloche-lock-") as folder:
            for name, lines in files.items():
                path = Path(folder) / name
                path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            return uv.run(
                arguments, environment=self.environment, folder=Path(folder), timeout=timeout
            )


def _largest(package: Mapping[str, Any]) -> int | None:
    """Return the size of the largest file of a package in a pylock.toml (PEP 751)."""
    others = [package[kind] for kind in ("archive", "sdist") if kind in package]
    sizes = [file.get("size") for file in package.get("wheels") or others]
    return max(sizes) if sizes and None not in sizes else None
