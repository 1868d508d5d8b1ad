"""The file of the unit that runs a control plane."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from cloche.clients import systemd
from cloche.errors import UnavailableError
from cloche.settings import Settings


def test_a_unit_ends_without_its_servers_and_is_started_again(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "a home, 100%")
    text = systemd.text(settings, systemd.unit_of(settings))
    for line in ("KillMode=process", "OOMPolicy=continue", "Delegate=yes", "Restart=on-failure",
                 "Type=notify", "StartLimitIntervalSec=0"):  # fmt: skip
        assert line in text.splitlines()
    assert f'Environment="CLOCHE_HOME={tmp_path}/a home, 100%%"' in text
    assert f"WorkingDirectory={tmp_path}/a home, 100%%" in text


def test_each_home_has_a_unit_of_its_own(tmp_path: Path) -> None:
    one, other = (systemd.unit_of(Settings(tmp_path / name)) for name in ("a", "b"))
    assert one.name != other.name
    assert systemd.unit_of(Settings(Path.home() / ".cloche")).name == "cloche.service"


def test_systemd_itself_accepts_the_file(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze: apt install systemd")
    settings = Settings(tmp_path)
    settings.layout.logs.mkdir()
    file = tmp_path / "cloche.service"
    file.write_text(systemd.text(settings, systemd.unit_of(settings)))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False
    )
    assert str(file.name) not in done.stderr, done.stderr


def test_without_systemd_it_says_what_is_kept_and_what_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "_BOOTED", tmp_path / "nothing")
    with pytest.raises(UnavailableError) as caught:
        systemd.install(Settings(tmp_path))
    assert caught.value.code == "serve.systemd"
    assert "only a reboot is not covered" in (caught.value.hint or "")
