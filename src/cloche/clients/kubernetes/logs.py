"""What containers print: read, and followed over broken connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.clients.kubernetes.kinds import POD
from cloche.clients.kubernetes.lines import lines_of
from cloche.clients.kubernetes.transport import Request
from cloche.clients.patience import AgainError, Attempts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.clients.kubernetes.transport import Transport


def log(
    transport: Transport,
    pod: str,
    namespace: str,
    container: str,
    *,
    lines: int | None,
    follow: bool,
    previous: bool,
) -> Iterator[str]:
    """Yield the last lines of a container, and with `follow` those that come until it ends.

    Each line comes with the time at which it was printed; a connection that broke goes on after
    the last one.
    """
    path, what = POD.path(namespace, pod, "log"), POD.words(namespace, pod)
    parameters = {"container": container, "timestamps": "true"}
    parameters |= {"follow": "true"} if follow else {}
    parameters |= {"previous": "true"} if previous else {}
    parameters |= {} if lines is None else {"tailLines": str(lines)}
    attempts = Attempts(transport.patience, transport.stop)
    last = ""
    while True:
        request = Request("GET", path, what, parameters)
        silence = None if follow else transport.patience.stall
        try:
            with transport.stream(request, silence=silence) as blocks:
                for line in lines_of(blocks):
                    attempts.reset()
                    stamp, _, text = line.decode(errors="replace").partition(" ")
                    if stamp > last:
                        last = stamp
                        yield text
            return
        except AgainError as again:
            attempts.failed(again)
        if last:
            parameters.pop("tailLines", None)
            parameters["sinceTime"] = last
