"""Choosing how a store of MLflow is read, from its address."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloche.clients.mlflow.address import Address
    from cloche.clients.mlflow.registry import Registry


def connect(address: Address) -> Registry:
    """Return the registry at an address; nothing is asked of it yet."""
    if address.kind == "http":
        from cloche.clients.mlflow.rest import RestRegistry

        return RestRegistry(address)
    if address.kind == "sqlite":
        from cloche.clients.mlflow.database import DatabaseRegistry

        return DatabaseRegistry(address)
    from cloche.clients.mlflow.folder import FolderRegistry

    return FolderRegistry(address)
