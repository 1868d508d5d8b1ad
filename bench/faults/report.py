"""The table of faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.faults.measuring import Measured

_INTRODUCTION = (
    "`make faults`: two replicas of a small model behind the gateway, four clients over HTTP, each"
    " of which sends its next request after the last answer. No command is typed. *Lost* are"
    " requests that got no answer, or an error; *wrong* are wrong answers; *silence* is the longest"
    " time in which no client got a right answer; *whole again* is the time until every replica,"
    " the gateway and the control plane ran. What a killed process had is lost; `timeout` is 6 s,"
    " so a request that hangs is lost after that."
)
_NOTES = (
    "One round on two cores, on a quiet machine. Each replica is asked whether it answers rightly"
    " every ten seconds while it has traffic, so a model that begins to answer wrongly does so"
    " until then: the wrong answers of that row. Where the control plane and the process that keeps"
    " it die at the same moment nobody is left to start either; what serves goes on, and any"
    " command, or systemd, brings both back. The gateway is two processes on one port; *gateway* is"
    " one of them. What the killed process had in flight is lost."
)
_HEAD = f"""# Faults

{_INTRODUCTION}

| fault | answered | lost | wrong | silence, s | whole again, s |
|---|---|---|---|---|---|
"""


def document(measured: Sequence[Measured]) -> str:
    """Return the page of what was measured."""
    rows = "".join(
        f"| {row['fault']} | {row['answered']:,} | {row['lost']} | {row['wrong']}"
        f" | {row['silence']:.2f} | {_seconds(row['whole'])} |\n"
        for row in measured
    )
    return f"{_HEAD}{rows}\n{_NOTES}\n"


def _seconds(whole: float | None) -> str:
    return "never within 90" if whole is None else f"{whole:.1f}"
