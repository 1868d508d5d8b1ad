"""The file a user writes: parse → validate → complete, with every mistake at once.

`load` reads a cloche.yaml, `from_reference` makes the spec of a model reference alone, `to_yaml`
writes one back and `json_schema` describes it for editors.
"""

from cloche.spec.load import from_reference, load, parse
from cloche.spec.model import Batching, Resources, Rollout, Server, ServiceSpec
from cloche.spec.schema import json_schema
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
