"""The faults: who, and what happens to it."""

from __future__ import annotations

import signal
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hit:
    """A signal to one process: a replica, model, gateway, gateway-2, control or keeper."""

    whom: str
    number: signal.Signals


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the matrix."""

    name: str
    hits: tuple[Hit, ...] = ()
    poison: float | None = None
    """A value by which the model hangs, or answers wrongly from then on."""
    given_up: int = 0
    """How many calls over gRPC other clients give up while they are answered."""
    deploys: bool = False
    """Whether a new version is being deployed meanwhile."""


_KILL, _STOP = signal.SIGKILL, signal.SIGSTOP
HANG, TURN = 666.0, 777.0
_PARTS = ("replica", "model", "gateway", "control")

FAULTS = (
    *(Fault(f"{part} killed", (Hit(part, _KILL),)) for part in _PARTS),
    *(Fault(f"{part} stopped", (Hit(part, _STOP),)) for part in _PARTS),
    Fault("both gateways killed", (Hit("gateway", _KILL), Hit("gateway-2", _KILL))),
    Fault("keeper and control killed", (Hit("keeper", _KILL), Hit("control", _KILL))),
    Fault("model hangs", poison=HANG),
    Fault("model answers wrongly", poison=TURN),
    Fault("20,000 calls given up", given_up=20_000),
    Fault("replica and control killed", (Hit("replica", _KILL), Hit("control", _KILL))),
    Fault("model and control killed", (Hit("model", _KILL), Hit("control", _KILL))),
    Fault("gateway and control killed", (Hit("gateway", _KILL), Hit("control", _KILL))),
    Fault("replica killed in a deploy", (Hit("replica", _KILL),), deploys=True),
    Fault("control killed in a deploy", (Hit("control", _KILL),), deploys=True),
    Fault("gateway killed in a deploy", (Hit("gateway", _KILL),), deploys=True),
)
