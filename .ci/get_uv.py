"""Put uv into a folder: `python3 .ci/get_uv.py FOLDER` leaves FOLDER/bin/uv.

Tries a virtual environment with pip, then the pip that is there, then (for a bare Debian, whose
Python comes without both) the wheel itself, checked against the digest that the index gives.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path
from urllib.parse import urljoin

REQUIREMENT = "uv>=0.9,<1"
INDEX = "https://pypi.org/pypi/uv/json"


def main(folder: Path) -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 it runs on whatever Python there is
        sys.stderr.write("Cloche needs Python 3.11 or newer; set PYTHON=python3.11 or the like.\n")
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    for way in (with_environment, with_pip, with_wheel):
        try:
            way(folder)
        except (OSError, subprocess.CalledProcessError, LookupError, ValueError) as error:
            sys.stderr.write(f"{way.__name__}: {error}\n")
            continue
        if (folder / "bin" / "uv").exists():
            return 0
    sys.stderr.write("uv could not be fetched; see https://docs.astral.sh/uv/ for other ways.\n")
    return 1


def with_environment(folder: Path) -> None:
    """Install with the pip of a new virtual environment."""
    environment = folder / "environment"
    run(sys.executable, "-m", "venv", "--clear", str(environment))
    run(str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", REQUIREMENT)
    place(environment / "bin" / "uv", folder)


def with_pip(folder: Path) -> None:
    """Install with the pip of this Python."""
    target = folder / "packages"
    run(sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), REQUIREMENT)
    place(target / "bin" / "uv", folder)


def with_wheel(folder: Path) -> None:
    """Take the program out of the wheel."""
    with urllib.request.urlopen(INDEX, timeout=60) as answer:
        files = json.load(answer)["urls"]
    [chosen, *_] = [file for file in files if fits(file["filename"])]
    with urllib.request.urlopen(urljoin(INDEX, chosen["url"]), timeout=300) as answer:  # noqa: S310
        data = answer.read()
    if hashlib.sha256(data).hexdigest() != chosen["digests"]["sha256"]:
        raise ValueError(f"{chosen['filename']} is not what the index says it is")
    with zipfile.ZipFile(io.BytesIO(data)) as wheel, tempfile.TemporaryDirectory() as scratch:
        [name] = [name for name in wheel.namelist() if name.endswith("/scripts/uv")]
        program = Path(scratch) / "uv"
        program.write_bytes(wheel.read(name))
        program.chmod(0o755)
        place(program, folder)


def fits(wheel: str) -> bool:
    """Return whether a wheel is for this system."""
    machine = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())
    if sys.platform == "darwin":
        return "macosx" in wheel and platform.machine() in wheel
    libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    return libc in wheel and wheel.endswith(f"{machine}.whl")


def place(program: Path, folder: Path) -> None:
    """Copy the program to FOLDER/bin/uv, whole or not at all."""
    (folder / "bin").mkdir(exist_ok=True)
    partial = folder / "bin" / ".uv.partial"
    shutil.copy2(program, partial)
    partial.replace(folder / "bin" / "uv")


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
