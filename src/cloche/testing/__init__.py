"""Doubles for tests: of all that an engine stands on, in memory, and a deployment to give it.

Each double passes the contract suite that the real implementations pass. `engine` puts them
together: a control plane with no Triton, no Envoy and no file, for code that calls Cloche.

    from cloche import testing

    engine = testing.engine()
    engine.deploy(testing.deployment("digits"))
    testing.settle(engine)
    assert engine.service("digits")["phase"] == "live"

docs/guides/testing.md says more.
"""

from cloche.testing.clock import START, Clock
from cloche.testing.deployments import GOLDEN, deployment, verification
from cloche.testing.engine import engine, running, settle
from cloche.testing.state import MemoryJournal, MemoryState
from cloche.testing.target import LivingTarget, MemoryTarget
from cloche.testing.verifier import FixedVerifier
from cloche.testing.world import World

__all__ = [
    "GOLDEN",
    "START",
    "Clock",
    "FixedVerifier",
    "LivingTarget",
    "MemoryJournal",
    "MemoryState",
    "MemoryTarget",
    "World",
    "deployment",
    "engine",
    "running",
    "settle",
    "verification",
]
