"""Packages of a conda.yaml as requirements that a Python package index can satisfy.

A line is a match specification of conda: a channel, a name, a version, a build.

    lightgbm   conda-forge::lightgbm=4.6.0   pytorch=2.1.*=py3.11_cuda12.1_0   numpy >=1.24,<2

`=1.7` is fuzzy and becomes `==1.7.*`; `==1.7`, `1.7` after a space and `=1.7=BUILD` are exact. The
syntax is that of conda's MatchSpec:
https://docs.conda.io/projects/conda-build/en/stable/resources/package-spec.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from cloche.formats.mlflow.conda_names import counterpart, numbered_on_index

_PUBLIC = frozenset({
    "anaconda", "bioconda", "conda-forge", "defaults", "free", "huggingface", "intel", "main",
    "msys2", "nvidia", "pytorch", "pytorch-lts", "pytorch-nightly", "r", "rapidsai", "xilinx",
})  # fmt: skip
"""Channels whose packages are those of the public index under the same name."""
_SPECIFICATION = re.compile(
    r"(?:(?P<channel>\S+?)::)?(?P<name>[A-Za-z0-9_][A-Za-z0-9_.\-]*)\s*(?P<rest>.*)", re.DOTALL
)
_BRACKETS = re.compile(r"\[(?P<inside>[^\]]*)\]\s*$")
_FIELD = re.compile(r"(\w+)\s*=\s*(?:'([^']*)'|\"([^\"]*)\"|([^,'\"\s]+))")
_OPERATOR = re.compile(r"(==|!=|<=|>=|~=|<|>|=)?\s*(.+)")


@dataclass(frozen=True, slots=True)
class CondaPackage:
    """One line of a conda.yaml; `version` and `build` are empty where the line has none."""

    written: str
    name: str
    version: str = ""
    """As conda writes it: `=1.7`, `>=1,<2`; exact without an operator."""
    build: str = ""
    channel: str = ""


def parse(line: str) -> CondaPackage | None:
    """Return the package of a line, None if it is not a match specification."""
    written = " ".join(line.split())
    match = _SPECIFICATION.fullmatch(written)
    if match is None:
        return None
    rest, fields = match["rest"], {}
    if brackets := _BRACKETS.search(rest):
        fields = {name: a or b or c for name, a, b, c in _FIELD.findall(brackets["inside"])}
        rest = rest[: brackets.start()].strip()
    version, build = _version_and_build(rest)
    channel = fields.get("channel") or match["channel"] or ""
    return CondaPackage(
        written,
        match["name"].lower(),
        fields.get("version", version),
        fields.get("build", build),
        # conda-forge/linux-64::name names a platform of the channel, too.
        re.sub(r"/(noarch|linux-[a-z0-9]+|osx-\w+|win-\w+)$", "", channel),
    )


def _version_and_build(rest: str) -> tuple[str, str]:
    """Split what follows the name: `=1.7=py311_0`, `>=1, <2`, `1.7 py311_0`."""
    joined = re.sub(r"\s*([,|<>=!~]+)\s*", r"\1", rest)
    version, _, build = joined.partition(" ")
    if build:
        return version, build
    exact = re.fullmatch(r"={1,2}([^=<>!~,|]+)=([^=]+)", version)
    return (exact[1], exact[2]) if exact else (version, "")


def requirement(package: CondaPackage) -> str | None:
    """Return the requirement for the package index, with the line it comes from as a comment.

    None for a package that the index does not have: a library of the system, a package of a channel
    that is not public. Raises ValueError with the reason for a version that the index cannot look
    up.
    """
    channel = package.channel.rpartition("/")[2]
    if package.channel and (channel not in _PUBLIC or ":" in package.channel):
        return None
    name = counterpart(package.name, package.build)
    if name is None:
        return None
    version = package.version
    if numbered_on_index(name) and re.fullmatch(r"=*[\d.]+", version):
        version = f"={version.lstrip('=')}"
    return f"{name}{specifier(version)}  # conda.yaml: {package.written}"


def specifier(version: str) -> str:
    """Return a version of conda as a specifier (PEP 440), empty if any version will do.

    Raises ValueError with the reason.
    """
    if "|" in version:
        raise ValueError("it lists alternatives, and a package index is asked for one range")
    parts = [_clause(part.strip()) for part in version.split(",") if part.strip()]
    return ",".join(part for part in parts if part)


def _clause(part: str) -> str:
    match = _OPERATOR.fullmatch(part)
    if match is None:
        raise ValueError(f"{part!r} is not a version")
    operator, number = match[1] or "==", match[2].strip()
    plain = re.sub(r"\.?\*$", "", number)
    if not plain:
        return ""
    try:
        parsed = Version(plain)
    except InvalidVersion:
        raise ValueError(f"{plain!r} is not a version that a package index has") from None
    starts = number != plain or operator == "="
    if operator == "=":
        operator = "=="
    if starts and operator in {"==", "!="} and not (parsed.is_prerelease or parsed.local):
        # The wildcard stands after a release: 1.7.post1.* is no version.
        plain = f"{plain}.*" if parsed.post is None else plain
    try:
        SpecifierSet(f"{operator}{plain}")
    except InvalidSpecifier:
        raise ValueError(f"{part!r} is not a range of versions") from None
    return f"{operator}{plain}"


def python_of(package: CondaPackage) -> SpecifierSet | None:
    """Return the range of Python versions of the line `python…`, None if it does not limit it."""
    try:
        written = specifier(package.version)
    except ValueError:
        return None
    return SpecifierSet(written) if written else None
