"""Somebody who names models of a hub, with a store of their own."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from cloche import pipeline
from cloche.artifacts import ModelSnapshot
from cloche.errors import ClocheError
from cloche.progress import SilentProgress
from cloche.store import Store
from fixtures.hub import STRANGER, TOKEN


def take(
    store: Store,
    text: str,
    variables: Mapping[str, str],
    progress: SilentProgress | None = None,
) -> ModelSnapshot:
    return pipeline.resolve(
        text,
        directory=store.root.parent,
        store=store,
        progress=progress or SilentProgress(),
        environment=variables,
    )


def refused(store: Store, text: str, variables: Mapping[str, str]) -> ClocheError:
    with pytest.raises(ClocheError) as raised:
        take(store, text, variables)
    error = raised.value
    assert error.hint
    assert error.where
    assert str(store.root) not in str(error.to_dict())
    for secret in (TOKEN, STRANGER):
        assert secret not in str(error.to_dict())
    left = [path.name for path in (store.root / "partial").glob("*")]
    assert all(name.startswith("download-") for name in left)
    return error
