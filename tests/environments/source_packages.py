"""Packages that exist only as source, with a build of their own that needs nothing installed."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """
import os, pathlib, subprocess, sys, zipfile

NAME, VERSION, REQUIRES, COMPILED = {name!r}, {version!r}, {requires!r}, {compiled!r}
MODULE = "VERSION = " + repr(VERSION)
{more}

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    tag = "py3-none-any"
    files = {{NAME + ".py": MODULE}}
    if COMPILED:
        python = "cp%d%d" % sys.version_info[:2]
        tag = python + "-" + python + "-linux_" + os.uname().machine
        flags = os.environ["CFLAGS"].split()
        source = "#include <stdio.h>\\nint answer(void) {{ return putchar(10); }}"
        pathlib.Path("native.c").write_text(source)
        made = ["-shared", "-fPIC", "-o", "native.so", "native.c"]
        subprocess.run(["cc", *flags, *made], check=True)
        files[NAME + "_native.so"] = pathlib.Path("native.so").read_bytes()
    info = NAME + "-" + VERSION + ".dist-info/"
    needs = "".join("Requires-Dist: " + each + "\\n" for each in REQUIRES)
    said = "Metadata-Version: 2.1\\nName: %s\\nVersion: %s\\n" % (NAME, VERSION)
    files[info + "METADATA"] = said + needs
    files[info + "WHEEL"] = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: " + tag + "\\n"
    files[info + "RECORD"] = "".join(each + ",,\\n" for each in files)
    name = NAME + "-" + VERSION + "-" + tag + ".whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, data in files.items():
            wheel.writestr(path, data)
    return name
"""


def write(
    folder: Path, name: str, version: str, *requires: str, compiled: bool = False, more: str = ""
) -> Path:
    """Write the source of a package into an index; its build runs the lines of `more`, too."""
    said = {"name": name, "version": version, "requires": list(requires), "compiled": compiled}
    files = {
        "pyproject.toml": PROJECT,
        "backend.py": BACKEND.format(**said, more=more),
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
    }
    path = folder / name / f"{name}-{version}.tar.gz"
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for file, text in files.items():
            info = tarfile.TarInfo(f"{name}-{version}/{file}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    links = (f'<a href="{each.name}">a</a>' for each in sorted(path.parent.glob(f"{name}-*")))
    (path.parent / "index.html").write_text(f"<!DOCTYPE html><html>{''.join(links)}</html>")
    return path
