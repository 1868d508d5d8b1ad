"""GPUs in a spec: a number, or a resource of the cluster and how many of it."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from cloche.artifacts import Gpu
from cloche.artifacts.service import WHOLE_GPU
from cloche.spec.quantities import problem

MOST = 64
"""More than any machine has."""
_RESOURCE = re.compile(r"nvidia\.com/[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_NUMBER = "Write a number, such as gpu: 1."
_SLICE = "Write gpu: {resource: nvidia.com/mig-1g.10gb, count: 1}."


def _gpu(value: Any) -> Gpu:
    if isinstance(value, Gpu):
        return value
    if not isinstance(value, dict):
        return Gpu(_count(value))
    unknown = [str(key) for key in value if key not in {"resource", "count"}]
    if unknown:
        raise problem(f"it has no key {unknown[0]!r}", _SLICE)
    resource = value.get("resource", WHOLE_GPU)
    if not isinstance(resource, str) or not _RESOURCE.fullmatch(resource):
        raise problem(f"{resource!r} is not a resource of NVIDIA's device plugin", _SLICE)
    return Gpu(_count(value.get("count", 1)), resource)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        shown = str(value).lower() if isinstance(value, bool) else repr(value)
        raise problem(f"{shown} is not a number of GPUs", _NUMBER)
    if not 0 <= value <= MOST:
        raise problem(f"{value} is not between 0 and {MOST}", _NUMBER)
    return value


def format_gpu(gpu: Gpu) -> int | dict[str, Any]:
    """Return GPUs in their written form: a number if they are whole."""
    if gpu.resource == WHOLE_GPU:
        return gpu.count
    return {"resource": gpu.resource, "count": gpu.count}


_COUNT = {"type": "integer", "minimum": 0, "maximum": MOST}

Gpus = Annotated[
    Gpu,
    BeforeValidator(_gpu),
    PlainSerializer(format_gpu),
    WithJsonSchema(
        {
            "anyOf": [
                _COUNT,
                {
                    "type": "object",
                    "properties": {
                        "resource": {
                            "type": "string",
                            "pattern": f"^{_RESOURCE.pattern}$",
                            "examples": ["nvidia.com/mig-1g.10gb"],
                        },
                        "count": _COUNT,
                    },
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
"""GPUs of one replica."""
