"""Triton's backend directory.

`python/` holds the wheel's Python backend and the stub of the server's Python. Beside it are the
Python-based backends that ship with Cloche, each a folder with a `model.py`. The folder's name has
the digest of the shipped files, so that another version of Cloche adds its own folder and leaves
the one that running replicas use.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from cloche.verification.reference.own import serving_scripts

STUB = "triton_python_backend_stub"
PYTHON_STUB = f"python/{STUB}"
"""Where the stub of the server's Python lies in the directory."""
ENVIRONMENT = "environment"
"""The server's own virtual environment, in the folder of its installation."""
_SHIPPED = Path(__file__).with_name("backends")
_ADAPTED = """

# Added by Cloche, see triton_numpy_2.py.
import sys

import triton_numpy_2

triton_numpy_2.adapt(sys.modules[__name__])
"""
# The wheel's stub for 3.13 looks up the wheel's own libpython under this name.
_RENAMED = {"3.13": "libpython3-419a3a08.13.so.1.0"}


def library_names(minor: str) -> tuple[str, ...]:
    """Return the names under which the stub of a Python version may look up its libpython."""
    name = f"libpython{minor}.so.1.0"
    return (name, _RENAMED[minor]) if minor in _RENAMED else (name,)


def make(folder: Path, minor: str) -> Path:
    """Return the backend directory of an installation; make it if it is missing."""
    final = folder / f"backends-{shipped_digest()[:12]}"
    if final.is_dir():
        return final
    temporary = Path(tempfile.mkdtemp(prefix=".backends-", dir=folder))
    try:
        _fill(temporary, folder, minor)
        temporary.chmod(0o755)
        try:
            temporary.rename(final)
        except OSError:
            if not final.is_dir():  # else another process was faster
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def python_backends() -> tuple[str, ...]:
    """Return the backends that run in Python because Cloche ships them so: `onnxruntime`."""
    return tuple(sorted({name.split("/")[0] for name in _shipped_files()} - {"python"}))


def _shipped_files() -> dict[str, Path]:
    """Return the files of the backends, by path in the folder."""
    own = {
        path.relative_to(_SHIPPED).as_posix(): path
        for path in sorted(_SHIPPED.rglob("*.py"))
        if "__pycache__" not in path.parts
    }
    return own | {f"pytorch/{path.name}": path for path in serving_scripts("pytorch")}


def contents(packages: Path, stub: Path) -> dict[str, bytes | Path]:
    """Return the files of a backend directory by path: their bytes, or where these are.

    `packages` holds the unpacked wheels, `stub` is that of the server's Python.
    """
    wheel = packages / "pytriton" / "tritonserver" / "backends" / "python"
    utilities = (wheel / "triton_python_backend_utils.py").read_text(encoding="utf-8")
    return {
        "python/libtriton_python.so": wheel / "libtriton_python.so",
        "python/triton_python_backend_utils.py": (utilities + _ADAPTED).encode(),
        PYTHON_STUB: stub,
        **_shipped_files(),
    }


def shipped_digest() -> str:
    """Return the digest of the files that ship with Cloche, as hexadecimal digits."""
    digest = hashlib.sha256()
    for name, path in _shipped_files().items():
        digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _fill(temporary: Path, folder: Path, minor: str) -> None:
    packages = folder / ENVIRONMENT / "lib" / f"python{minor}" / "site-packages"
    for name, source in contents(packages, folder / "stubs" / minor / STUB).items():
        destination = temporary / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, bytes):
            destination.write_bytes(source)
        else:
            shutil.copyfile(source, destination)
    (temporary / PYTHON_STUB).chmod(0o755)
    for written in temporary.rglob("*"):
        if written.is_file():
            _sync(written)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
