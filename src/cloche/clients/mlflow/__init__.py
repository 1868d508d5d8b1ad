"""Reading an MLflow tracking store and model registry without MLflow itself.

`connect` gives a `Registry` for the three places where MLflow stores its records: a server (REST),
an SQLite database, and a folder. They are only read, never written.
"""

from cloche.clients.mlflow.address import Address, Credentials, registry_address, tracking_address
from cloche.clients.mlflow.registry import LoggedModel, ModelVersion, Registry, Run
from cloche.clients.mlflow.rest import RestRegistry
from cloche.clients.mlflow.transport import ForbiddenError

__all__ = [
    "Address",
    "Credentials",
    "ForbiddenError",
    "LoggedModel",
    "ModelVersion",
    "Registry",
    "RestRegistry",
    "Run",
    "connect",
    "registry_address",
    "tracking_address",
]


def connect(address: Address) -> Registry:
    """Return the registry at an address, without a request to it."""
    if address.kind == "http":
        return RestRegistry(address)
    if address.kind == "sqlite":
        from cloche.clients.mlflow.database import DatabaseRegistry

        return DatabaseRegistry(address)
    from cloche.clients.mlflow.folder import FolderRegistry

    return FolderRegistry(address)
