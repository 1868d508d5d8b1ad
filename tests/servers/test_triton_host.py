from __future__ import annotations

import errno
from pathlib import Path

import pytest

from cloche.environments import uv
from cloche.errors import ClocheError, UnavailableError
from cloche.servers.triton import host, packages


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (("linux", "x86_64", "glibc 2.35"), None),
        (("linux", "aarch64", "glibc 2.41"), None),
        (("linux", "x86_64", "glibc 2.36.9000"), None),
        (("linux", "x86_64", "glibc 2.31"), "glibc 2.35 or newer; this machine has 2.31"),
        (("linux", "x86_64", ""), "not glibc (musl"),
        (("linux", "armv7l", "glibc 2.36"), "on armv7l"),
        (("darwin", "arm64", ""), "for macOS"),
        (("win32", "AMD64", ""), "for Windows"),
    ],
)
def test_where_the_wheel_runs(machine: tuple[str, str, str], words: str | None) -> None:
    reason = host.unsupported(*machine)
    if words is None:
        assert reason is None
    else:
        assert reason is not None
        assert words in reason


def test_the_refusal_says_what_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.sys, "platform", "darwin")
    with pytest.raises(ClocheError) as caught:
        host.check()
    assert caught.value.code == "server.triton.platform"
    assert "Linux" in (caught.value.hint or "")
    assert "nvcr.io/nvidia/tritonserver" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("driver", "variables", "expected"),
    [
        (False, {}, False),
        (True, {}, True),
        (True, {"CUDA_VISIBLE_DEVICES": "0,1"}, True),
        (True, {"CUDA_VISIBLE_DEVICES": "-1"}, False),
        (True, {"NVIDIA_VISIBLE_DEVICES": "void"}, False),
    ],
)
def test_whether_there_is_a_gpu(
    driver: bool, variables: dict[str, str], expected: bool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(host, "_GPU_DEVICES", (tmp_path / ("" if driver else "none"),))
    assert host.has_gpu(variables) is expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (uv.explain("dns error", Path("/x")), "server.triton.download"),
        (UnavailableError("environment.timeout", "uv did not end"), "server.triton.download"),
        (uv.explain("No space left on device", Path("/x")), "server.triton.disk"),
        (
            uv.explain("nvidia-pytriton==0.7.0 has no wheels with a matching platform tag", Path()),
            "server.triton.platform",
        ),
        (uv.explain("Hash mismatch for numpy", Path("/x")), "server.triton.install"),
        (uv.explain("401 Unauthorized", Path("/x")), "server.triton.install"),
    ],
)
def test_what_uv_says_becomes_one_error(said: ClocheError, expected: str, tmp_path: Path) -> None:
    error = packages.explain(said, tmp_path)
    assert error.code == expected
    if expected == "server.triton.download":
        assert isinstance(error, UnavailableError)


def test_a_full_disk_is_said_as_such() -> None:
    folder = Path("/somewhere")
    full = packages.translate(OSError(errno.ENOSPC, "No space left on device"), folder)
    denied = packages.translate(PermissionError(errno.EACCES, "Permission denied", "/x"), folder)
    assert (full.code, full.retriable) == ("server.triton.disk", True)
    assert (denied.code, denied.where) == ("server.triton.install", "/x")
