"""What half-made files a store holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloche.store import Store


def leftovers(store: Store) -> list[str]:
    return [path.name for path in (store.root / "partial").iterdir()]
