"""In-memory doubles for tests of all parts of an engine, and a deployment for it.

Each double passes the contract suite of the real implementations. `engine` puts them together: a
control plane without Triton, Envoy or files, for code that calls Cloche.

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
from cloche.testing.hold import MemoryHold
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
    "MemoryHold",
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
