"""What runs: the control plane, the gateway and its port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.cli.doctor.outcome import Outcome, State
from cloche.version import __version__

if TYPE_CHECKING:
    from cloche.settings import Settings


def control_plane(settings: Settings) -> Outcome:
    """Say whether it runs and is of this version."""
    from cloche.clients.control import record as home

    record = home.read_record(settings.home)
    if record is None and home.is_running(settings.home):
        hint = f"If that stays so, see {settings.layout.logs} and end it with `cloche down`."
        return Outcome("control plane", State.WARNING, "It runs and does not answer yet.", hint)
    if record is None:
        return Outcome("control plane", State.OK, "Not running; `cloche deploy` starts it.")
    what = f"Process {record.pid}, port {record.port}, version {record.version}."
    if record.version != __version__:
        hint = (
            f"This is {__version__}: end process {record.pid} and run any command; services go on."
        )
        return Outcome("control plane", State.WARNING, what, hint)
    return Outcome("control plane", State.OK, what)


def gateway(settings: Settings) -> Outcome:
    """Say whether the gateway answers; where none runs, whether its port is free."""
    from cloche.clients.control import record as home
    from cloche.targets.local.envoy import ports

    if home.read_record(settings.home) is not None:
        from cloche.clients.control import client as control

        with control.connect(settings) as client:
            seen = client.status()["gateway"]
        if not seen["ready"]:
            hint = "`cloche status` shows it; its log stands under the folder logs of CLOCHE_HOME."
            what = f"{seen['http']} does not answer: {seen.get('detail') or 'not ready'}"
            return Outcome("gateway", State.FAILED, what, hint)
        return Outcome("gateway", State.OK, f"{seen['http']} answers.")
    ports.check(settings.gateway_host, settings.gateway_port)
    where = f"{settings.gateway_host}:{settings.gateway_port}"
    return Outcome("gateway", State.OK, f"Not running; {where} is free.")
