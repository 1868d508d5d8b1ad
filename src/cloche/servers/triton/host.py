"""What this machine is to Triton's wheel: whether it runs here, and whether there is a GPU."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Mapping

_GPU_DEVICES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""Made by the driver on Linux, and by that of Windows in its subsystem for Linux."""
_VISIBLE_DEVICES = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
_NO_DEVICES = frozenset({"-1", "none", "void", "NoDevFiles"})
_ARCHITECTURES = ("x86_64", "aarch64")
_GLIBC = (2, 35)
_WHAT_WORKS = (
    "Use Linux on x86-64 or arm64 with glibc 2.35 or newer (Ubuntu 22.04, Debian 12, Fedora 36, or"
    " a container or virtual machine of one of them). The repository that `cloche plan` describes"
    " also runs in Triton's own container image, nvcr.io/nvidia/tritonserver."
)


def check() -> None:
    """Raise ClocheError `server.triton.platform` if Triton's wheel cannot run."""
    reason = unsupported(sys.platform, platform.machine(), _c_library())
    if reason is not None:
        raise ClocheError("server.triton.platform", reason, hint=_WHAT_WORKS)


def has_driver() -> bool:
    """Return whether a driver of NVIDIA runs on this machine."""
    return any(device.exists() for device in _GPU_DEVICES)


def has_gpu(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether a server with this environment sees a GPU."""
    hidden = any(environment.get(name) in _NO_DEVICES for name in _VISIBLE_DEVICES)
    return has_driver() and not hidden


def unsupported(system: str, machine: str, c_library: str) -> str | None:
    """Return why Triton has no wheel for a machine, None if it has one.

    `c_library` is the value of `confstr(CS_GNU_LIBC_VERSION)` (`glibc 2.36`), empty for musl.
    """
    if system != "linux":
        name = {"darwin": "macOS", "win32": "Windows"}.get(system, system)
        return f"There is no Triton wheel for {name}."
    if machine not in _ARCHITECTURES:
        return f"There is no Triton wheel for Linux on {machine}."
    name, _, version = c_library.partition(" ")
    if name != "glibc":
        return "There is no Triton wheel for a Linux whose C library is not glibc (musl, Alpine)."
    try:
        numbers = tuple(int(part) for part in version.split(".")[:2])
    except ValueError:
        return None  # unusual name of a glibc build: let the installation decide
    if numbers < _GLIBC:
        return f"Triton's wheel needs glibc 2.35 or newer; this machine has {version}."
    return None


def _c_library() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError):
        return ""
