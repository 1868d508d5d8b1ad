"""Finding out how a model is run directly, on a machine with its software."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.verification.reference.reference import Interpreters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cloche.artifacts import Lock, Member, ModelRepository
    from cloche.store import Store
    from cloche.verification.asked import Model
    from cloche.verification.reference.reference import Reference


def direct_model(
    member: Member,
    repository: ModelRepository,
    store: Store,
    references: Mapping[str, Reference],
    *,
    server: Callable[[], Path | None],
    environment: Callable[[Lock], Path],
) -> Model | None:
    """Return how to run a model by its own framework; None if only its server can run it.

    `server` returns the server's interpreter, None where it does not run, and `environment` the
    environment of a lock; they are called only for a model with a reference.
    """
    facts = member.facts
    # What was converted is judged by what would run it as it is.
    backend = "python" if facts.convertible is not None else facts.backend
    reference = references.get(facts.loading.framework if facts.loading else backend)
    if reference is None:
        return None
    interpreter = server()
    own = environment(member.lock) / "bin" / "python" if member.lock is not None else None
    pythons = Interpreters(interpreter, own)
    return reference.model(member.snapshot, member.facts, repository, store, pythons)
