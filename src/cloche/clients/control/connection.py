"""The connection of a program to the control plane of its home."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche import refusals
from cloche.clients.control import record

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from cloche.clients.control.client import ControlClient
    from cloche.clients.control.launch import Launched
    from cloche.progress import Progress
    from cloche.settings import Settings


class HomeConnection:
    """Opened when it is needed, and again when the control plane is another process than before."""

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self._settings = settings
        self._progress = progress
        self._control: ControlClient | None = None
        self._record: record.ControlRecord | None = None

    def close(self) -> None:
        """Close what is open; the control plane runs on."""
        if self._control is not None:
            self._control.close()
            self._control = None

    def launch(self) -> AbstractContextManager[Launched | None]:
        """Launch a control plane if none runs, for `control` to wait for."""
        from cloche.clients.control.finding import launched

        return launched(self._settings)

    def control(self, *, start: bool = False, launched: Launched | None = None) -> ControlClient:
        """Return the control plane; if it crashed in a home with services, start it again.

        `start` starts one that was ended on purpose, too. Raises NotRunningError, and ClocheError
        `control.down` where it was.
        """
        from cloche.clients.control import finding

        home = self._settings.home
        running = record.read_record(home)
        if self._control is not None and running is not None and running == self._record:
            return self._control
        crashed = record.has_services(home) and not record.was_ended(home)
        if not start and self.was_ended():
            raise refusals.ended(home)
        if start or crashed:
            self._control = finding.connect_or_start(self._settings, self._progress, launched)
        else:
            self._control = finding.connect(self._settings)
        self._record = record.read_record(home)
        return self._control

    def has_services(self) -> bool:
        """Return whether the home has a record of services."""
        return record.has_services(self._settings.home)

    def was_ended(self) -> bool:
        """Return whether the services of the home were ended on purpose, and only recorded now."""
        return self.has_services() and record.was_ended(self._settings.home)

    def down(self) -> dict[str, Any] | None:
        """End the control plane with all that it runs, and return what ended.

        That is `replicas` (id, pid), `gateway` and `control` (pids, or None), and all processes of
        the gateway in `gateway_processes`. None: no control plane runs.
        """
        from cloche.clients.control import finding

        if not self.has_services():
            return None
        try:
            control = finding.connect(self._settings, any_version=True)
        except finding.NotRunningError:
            return None
        with control:
            status = control.status()
            items = [
                item for service in status["services"] for item in service["replicas"]["items"]
            ]
            ended = {
                "replicas": [{"id": item["id"], "pid": item["pid"]} for item in items],
                "gateway": status["gateway"]["pid"],
                "gateway_processes": _pids(status["gateway"]),
                "control": control.health()["pid"],
            }
            control.down()
        return ended


def _pids(gateway: dict[str, Any]) -> list[int]:
    """Return the processes of a gateway; an earlier Cloche names one alone."""
    found = [each["pid"] for each in gateway.get("processes", [gateway])]
    return [pid for pid in found if pid is not None]
