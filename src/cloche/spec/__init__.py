"""The user's cloche.yaml: parse → validate → complete, reporting all mistakes at once.

`load` reads a file, `from_reference` makes the spec of a model reference alone, `to_yaml` writes a
spec back and `json_schema` describes the file for editors.
"""

from cloche.spec.load import from_reference, load, parse
from cloche.spec.model import ServiceSpec
from cloche.spec.schema import json_schema
from cloche.spec.sections import Batching, Resources, Rollout, Server
from cloche.spec.writing import to_yaml

__all__ = [
    "Batching",
    "Resources",
    "Rollout",
    "Server",
    "ServiceSpec",
    "from_reference",
    "json_schema",
    "load",
    "parse",
    "to_yaml",
]
