"""The control plane of a home as a unit of systemd: written, started, taken away.

As root it is a unit of the system, else of the user's own systemd, which runs after a reboot only
if the user lingers. See systemd.service(5), systemd.exec(5) and loginctl(1).
"""

from __future__ import annotations

import getpass
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloche import files
from cloche import settings as machine
from cloche.clients.control.process_protocol import COMMAND
from cloche.errors import ClocheError, UnavailableError
from cloche.home import default_home

if TYPE_CHECKING:
    from cloche.settings import Settings

_BOOTED = Path("/run/systemd/system")
"""Is there where systemd is the first process; see sd_booted(3)."""
_SYSTEM_UNITS = Path("/etc/systemd/system")
_LIMIT = 90.0
_UNIT = """\
[Unit]
Description=Cloche, the control plane of {home}
After=network.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
WorkingDirectory={home}
{environment}
UMask=0077
StandardOutput=append:{log}
StandardError=append:{log}
TimeoutStartSec=120
# It is started again when it dies, and when it gives no sign of life.
Restart=on-failure
RestartSec=200ms
WatchdogSec=3
WatchdogSignal=SIGKILL
# Replicas and gateway are its children, and outlive it: the next one takes them over.
KillMode=process
OOMPolicy=continue
Delegate=yes

[Install]
WantedBy={target}
"""


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of one home."""

    name: str
    path: Path
    user: bool
    """Whether it is one of the user's own systemd."""


def unit_of(settings: Settings) -> Unit:
    """Return the unit of a home, which may not be installed.

    The home that is used where nothing else is said has a plain name.
    """
    usual = settings.home == default_home({"HOME": str(Path.home())})
    mark = hashlib.sha256(os.path.realpath(settings.home).encode()).hexdigest()[:8]
    name = "cloche.service" if usual else f"cloche-{mark}.service"
    if os.geteuid() == 0:
        return Unit(name, _SYSTEM_UNITS / name, user=False)
    configuration = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return Unit(name, configuration / "systemd" / "user" / name, user=True)


def text(settings: Settings, unit: Unit) -> str:
    """Return the file of a unit: its control plane has the settings that the command has."""
    variables = machine.variables(settings)
    lines = [f"Environment={_quoted(f'{name}={value}')}" for name, value in variables.items()]
    return _UNIT.format(
        home=_escaped(str(settings.home)),
        command=" ".join(map(_quoted, COMMAND)),
        environment="\n".join(lines),
        log=_escaped(str(settings.layout.log("control"))),
        target="default.target" if unit.user else "multi-user.target",
    )


def runs() -> bool:
    """Return whether systemd runs this machine."""
    return _BOOTED.is_dir() and shutil.which("systemctl") is not None


def is_installed(settings: Settings) -> bool:
    """Return whether the control plane of a home is a unit, and systemd runs this machine."""
    return runs() and unit_of(settings).path.exists()


def install(settings: Settings) -> Unit:
    """Write the unit of a home, start it, and have it started after each reboot.

    Raises ClocheError `serve.systemd`.
    """
    require()
    unit = unit_of(settings)
    try:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings.layout.logs.mkdir(mode=0o700, exist_ok=True)
        unit.path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(unit.path, text(settings, unit).encode())
    except OSError as error:
        what = f"The unit cannot be written: {error.strerror or error}."
        hint = "Give yourself permission for the folder, and try again."
        raise ClocheError("serve.systemd", what, where=str(unit.path), hint=hint) from error
    _systemctl(unit, "daemon-reload")
    _systemctl(unit, "enable", "--now", unit.name)
    return unit


def uninstall(settings: Settings) -> Unit | None:
    """End the control plane of a home, and take its unit away; None if there is none.

    Replicas and gateway run on. Raises ClocheError `serve.systemd`.
    """
    unit = unit_of(settings)
    if not unit.path.exists():
        return None
    require()
    _systemctl(unit, "disable", "--now", unit.name)
    unit.path.unlink(missing_ok=True)
    _systemctl(unit, "daemon-reload")
    return unit


def start(settings: Settings) -> None:
    """Start the unit of a home, and return when it answers; raises ClocheError `serve.systemd`."""
    unit = unit_of(settings)
    _systemctl(unit, "start", unit.name)


def linger() -> str | None:
    """Have the user's own systemd run without a login; return why it does not, as a sentence."""
    done = _run(["loginctl", "enable-linger", getpass.getuser()])
    if done.returncode == 0:
        return None
    why = done.stderr.strip() or f"loginctl ended with {done.returncode}"
    return f"Lingering could not be enabled, so services run only while you are logged in: {why}"


def require() -> None:
    """Raise UnavailableError `serve.systemd` if systemd does not run this machine."""
    if not runs():
        raise UnavailableError(
            "serve.systemd",
            "systemd does not run this machine.",
            hint="Commands start a control plane that a process of Cloche starts again when it"
            " dies; only a reboot is not covered. Have your own init run `cloche serve`.",
        )


def _systemctl(unit: Unit, *words: str) -> None:
    done = _run(["systemctl", *(["--user"] if unit.user else []), *words])
    if done.returncode != 0:
        scope = "--user " if unit.user else ""
        raise ClocheError(
            "serve.systemd",
            f"systemd refuses: {done.stderr.strip() or f'systemctl ended with {done.returncode}'}",
            where=unit.name,
            hint=f"`systemctl {scope}status {unit.name}` says more; logs/control.log in"
            " CLOCHE_HOME has what the control plane said.",
        )


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClocheError("serve.systemd", f"{command[0]} does not answer: {error}.") from error


def _escaped(value: str) -> str:
    """Return text in which systemd expands nothing."""
    return value.replace("%", "%%")


def _quoted(value: str) -> str:
    """Return one word of a line of a unit."""
    plain = _escaped(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"'
