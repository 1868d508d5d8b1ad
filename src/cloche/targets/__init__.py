"""Where services run: the contracts of a target and of its host."""

from cloche.targets.host import Host
from cloche.targets.target import (
    ApplyError,
    Desired,
    Endpoint,
    Gateway,
    Placement,
    Replica,
    ReplicaAddress,
    ReplicaPhase,
    ServiceObservation,
    Target,
    TargetChange,
)

__all__ = [
    "ApplyError",
    "Desired",
    "Endpoint",
    "Gateway",
    "Host",
    "Placement",
    "Replica",
    "ReplicaAddress",
    "ReplicaPhase",
    "ServiceObservation",
    "Target",
    "TargetChange",
]
