"""What Cloche's own base holds of Triton: the wheel's server, laid out as in NVIDIA's images.

/opt/tritonserver/bin, lib   the server and the libraries of its wheel
/opt/tritonserver/backends   the backend directory (`backend_folder.py`)
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from cloche.artifacts import ImageFile, ServerBase, ServerPart
from cloche.environments import interpreters
from cloche.servers.triton import backend_folder, container, packages
from cloche.servers.triton.container import ROOT
from cloche.servers.triton.installation import RELEASE, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FORM = "1"
"""Counts the changes of what is taken from the same wheels."""
UNTRUSTED = (
    f"Triton {RELEASE} is the newest that comes as a wheel, and older than the security fixes of"
    " 2026: let only trusted networks reach it"
)
_LIBRARIES = "nvidia_pytriton.libs"
_SERVER = re.compile(r"(nvidia_)?pytriton\b.*")
_NEEDLESS_LIBRARIES = re.compile(r"libpython3-[0-9a-f]+\.13\.so\..*")
"""Only the stub for 3.13 is linked to it."""
_NEEDLESS = re.compile(
    # tests, headers and declarations for developers
    r".*/tests?/.*|.*\.(pyi|h|c|pxd|a|f90)|numpy/(f2py|distutils|doc)/.*"
    # tools that make and change models, and the library for programs in C
    r"|onnxruntime/(backend|datasets|quantization|tools|transformers)/.*"
    r"|onnxruntime/capi/libonnxruntime\.so.*"
)


def describe(folder: str, python: str) -> ServerBase:
    """Return the parts of Triton for an image whose Python finds packages in `folder`."""
    return ServerBase(
        requirements=packages.REQUIREMENTS.read_text(encoding="utf-8"),
        parts=(
            ServerPart(
                "numpy and ONNX Runtime", (_FORM,), partial(_packages, folder), sources=folder
            ),
            ServerPart(f"Triton {RELEASE}", (_FORM,), _server),
            ServerPart("Triton's stubs for other Pythons", (_FORM,), _stubs),
            ServerPart(
                "Triton's Python backend and Cloche's backends on it",
                (_FORM, backend_folder.shipped_digest()),
                partial(_backends, python),
                sources=f"{ROOT}/backends",
            ),
        ),
        environment={
            "PATH": f"/{ROOT}/bin:/usr/local/bin:/usr/bin:/bin",
            "LD_LIBRARY_PATH": f"/{ROOT}/lib",
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "PYTHONNOUSERSITE": "1",
        },
        labels={
            "cloche.base.triton": RELEASE,
            "com.nvidia.tritonserver.version": VERSION,
            "cloche.base.pythons": python,
            "cloche.base.stubs": " ".join(sorted(interpreters.PYTHONS, key=_numbers)),
            "cloche.base.python_backends": " ".join(backend_folder.python_backends()),
            "cloche.base.network": "trusted",
            "cloche.base.network.reason": UNTRUSTED,
        },
    )


def _packages(folder: str, unpacked: Path) -> Iterator[ImageFile]:
    """Yield what the server's Python imports."""
    for path, file in _files(unpacked):
        if not _SERVER.fullmatch(path) and not _NEEDLESS.fullmatch(path):
            yield ImageFile(f"{folder}/{path}", file)


def _server(unpacked: Path) -> Iterator[ImageFile]:
    """Yield the server, its libraries and its licence."""
    program = unpacked / "pytriton" / "tritonserver" / "bin" / "tritonserver"
    yield ImageFile(f"{ROOT}/bin/tritonserver", program, executable=True)
    for path, file in _files(unpacked / _LIBRARIES):
        if not _NEEDLESS_LIBRARIES.fullmatch(path):
            yield ImageFile(f"{ROOT}/lib/{path}", file)
    (record,) = unpacked.glob("nvidia_pytriton-*.dist-info")
    for path, file in _files(record / "licenses"):
        yield ImageFile(f"{ROOT}/{path}", file)


def _backends(python: str, unpacked: Path) -> Iterator[ImageFile]:
    """Yield the backend directory, with the stub for one Python."""
    stubs = unpacked / "pytriton" / "tritonserver" / "python_backend_stubs"
    contents = backend_folder.contents(unpacked, stubs / python / backend_folder.STUB)
    for path, source in contents.items():
        executable = path == backend_folder.PYTHON_STUB
        yield ImageFile(f"{ROOT}/backends/{path}", source, executable)


def _stubs(unpacked: Path) -> Iterator[ImageFile]:
    """Yield the stubs of the Pythons that an image may bring."""
    folder = unpacked / "pytriton" / "tritonserver" / "python_backend_stubs"
    for python in interpreters.PYTHONS:
        source = folder / python / backend_folder.STUB
        yield ImageFile(container.stub(python).path, source, executable=True)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of a folder, each with its path in it."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file.relative_to(folder).as_posix(), file
