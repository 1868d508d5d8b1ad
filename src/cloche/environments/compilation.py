"""Runs `uv pip compile` over a model's requirements: the packages, and the sizes of their files."""

from __future__ import annotations

import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloche.environments import pins, uv
from cloche.environments.requirements import name_of
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from cloche.environments.pins import Pin
    from cloche.environments.requirements import Requirements

_SIZES_SECONDS = 60.0
_IN_PLACE_OF = {"tensorflow-cpu": "tensorflow"}
"""Packages with the modules of another: where one is asked for, the other is not installed, though
more packages name it."""


@dataclass(frozen=True, slots=True)
class Source:
    """Another index for some packages: arguments of uv, and files that they name."""

    arguments: tuple[str, ...] = ()
    files: Mapping[str, Sequence[str]] = field(default_factory=dict)


NO_SOURCE = Source()


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The source of a package, as its index has it."""

    name: str
    version: str
    address: str
    digest: str
    """`sha256:<hex>`"""


@dataclass(frozen=True, slots=True)
class Compiler:
    """Resolves requirements for a Python version, on this platform, from a user's indexes."""

    python: str
    environment: Mapping[str, str]
    limit: float = 900.0
    """Seconds."""
    wheels: Path | None = None
    """A folder with wheels that no index has."""

    def pin(self, parsed: Requirements, source: Source = NO_SOURCE) -> tuple[Pin, ...]:
        """Return all packages that are needed, with the digests of their files.

        Raises the errors of `uv.run` and `pins.parse`.
        """
        arguments = ["--generate-hashes", "--no-header", "--annotation-style", "line"]
        arguments += ["--emit-index-annotation"]
        if not parsed.builds:
            # To resolve wheels, any Python does; uv would first download the one that is named.
            arguments += ["--no-python-downloads"]
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
        printed = self._compile(files, arguments, source, self.limit)
        return pins.parse(printed, parsed.digests)

    def sizes(
        self, parsed: Requirements, pinned: Sequence[Pin], source: Source = NO_SOURCE
    ) -> dict[str, int]:
        """Return the bytes of the largest file that each package may be installed from.

        What the indexes said is in uv's cache, where `pin` left it. Packages whose size they do not
        give are left out.
        """
        files = {"requirements.in": (*parsed.indexes, *parsed.builds, *map(str, pinned))}
        arguments = ["--format", "pylock.toml", "--no-deps", "--offline", "--prerelease", "allow"]
        try:
            written = self._compile(files, arguments, source, _SIZES_SECONDS)
            packages = tomllib.loads(written)["packages"]
        except (ClocheError, tomllib.TOMLDecodeError, KeyError):
            return {}
        largest = {package["name"]: _largest(package) for package in packages}
        return {name: size for name, size in largest.items() if size is not None}

    def sources(self, parsed: Requirements, names: Collection[str]) -> tuple[SourceFile, ...]:
        """Return the sources that are taken of packages without a wheel.

        No code of theirs is run: they are taken to depend on nothing. Raises the errors of
        `uv.run`.
        """
        said = ", ".join(f'{{name = "{name}", requires-dist = []}}' for name in sorted(names))
        files = {
            "requirements.in": (*parsed.indexes, *parsed.packages),
            "constraints.txt": parsed.constraints,
            "uv.toml": (f"dependency-metadata = [{said}]",),
        }
        arguments = ["--format", "pylock.toml", "--config-file", "uv.toml"]
        for name in sorted(names):
            arguments += ["--no-binary", name]
        written = tomllib.loads(self._compile(files, arguments, NO_SOURCE, self.limit))
        found = [package for package in written["packages"] if package["name"] in names]
        return tuple(_source(package) for package in found)

    def _compile(
        self,
        files: Mapping[str, Sequence[str]],
        more: Sequence[str],
        source: Source,
        timeout: float,
    ) -> str:
        arguments = [
            "pip", "compile", "requirements.in", "--python-version", self.python, "--quiet",
            "--only-binary", ":all:", *more, *source.arguments,
        ]  # fmt: skip
        arguments += ["--find-links", str(self.wheels)] if self.wheels else []
        for name in ("constraints", "overrides"):
            arguments += [f"--{name}", f"{name}.txt"] if files.get(f"{name}.txt") else []
        with tempfile.TemporaryDirectory(prefix="cloche-lock-") as folder:
            for name, lines in {**files, **source.files}.items():
                path = Path(folder) / name
                path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            return uv.run(
                arguments, environment=self.environment, folder=Path(folder), timeout=timeout
            )


def _source(package: Mapping[str, Any]) -> SourceFile:
    """Return the source of a package in a pylock.toml."""
    file = package.get("sdist") or package.get("archive") or {}
    digest = file.get("hashes", {}).get("sha256")
    if "url" not in file or digest is None:
        raise ClocheError(
            "environment.unhashed",
            f"{package['name']} cannot be locked: the package index has no source with a digest"
            " for it.",
            where="requirements.txt",
            hint="Name a released version of it.",
        )
    return SourceFile(package["name"], package.get("version", "0"), file["url"], f"sha256:{digest}")


def _largest(package: Mapping[str, Any]) -> int | None:
    """Return the size of the largest file of a package in a pylock.toml (PEP 751)."""
    others = [package[kind] for kind in ("archive", "sdist") if kind in package]
    sizes = [file.get("size") for file in package.get("wheels") or others]
    return max(sizes) if sizes and None not in sizes else None
