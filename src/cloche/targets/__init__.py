"""Where services run: the contracts of a target and of its host."""

from cloche.targets.desired import Desired, Placement
from cloche.targets.host import Host
from cloche.targets.target import (
    ApplyError,
    Endpoint,
    Gateway,
    Replica,
    ReplicaAddress,
    ReplicaPhase,
    ServiceObservation,
    ServiceTraffic,
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
    "ServiceTraffic",
    "Target",
    "TargetChange",
]
