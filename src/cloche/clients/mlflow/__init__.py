"""Reading an MLflow tracking store and model registry without MLflow itself.

`connect` gives a `Registry` for the three places where MLflow keeps its records: a server (REST),
an SQLite database, and a folder. All are read, none is ever written.
"""

from cloche.clients.mlflow.address import Address, Credentials, registry_address, tracking_address
from cloche.clients.mlflow.connection import connect
from cloche.clients.mlflow.registry import LoggedModel, ModelVersion, Registry, Run
from cloche.clients.mlflow.rest import RestRegistry

__all__ = [
    "Address",
    "Credentials",
    "LoggedModel",
    "ModelVersion",
    "Registry",
    "RestRegistry",
    "Run",
    "connect",
    "registry_address",
    "tracking_address",
]
