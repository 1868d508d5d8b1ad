"""Where services run: the contract of a target."""

from cloche.targets.target import (
    ApplyError,
    Desired,
    Endpoint,
    Gateway,
    Host,
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
