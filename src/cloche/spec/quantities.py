"""Durations, sizes and processors: parsing their written forms, and writing them in one form."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from cloche.artifacts import ReplicaRange
from cloche.artifacts.service import (
    LARGEST_TOLERANCE,
    LONGEST_TIMEOUT,
    MOST_REPLICAS,
    SHORTEST_START_TIMEOUT,
    SHORTEST_TIMEOUT,
)
from cloche.units import parse_duration, parse_size, processors_text

_MICROSECONDS = {"h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1_000, "us": 1}
_BYTES = {"Ti": 2**40, "Gi": 2**30, "Mi": 2**20, "Ki": 2**10}
_MEANT = {
    **dict.fromkeys(("µs", "μs", "usec", "usecs", "microsecond", "microseconds"), "us"),
    **dict.fromkeys(("msec", "msecs", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("k", "kb", "kib", "ki"), "Ki"),
    **dict.fromkeys(("m", "mb", "mib", "mi"), "Mi"),
    **dict.fromkeys(("g", "gb", "gib", "gi", "gig", "gigs"), "Gi"),
    **dict.fromkeys(("t", "tb", "tib", "ti"), "Ti"),
}
_DURATION_MEANT = {unit: meant for unit, meant in _MEANT.items() if meant in _MICROSECONDS}
_SIZE_MEANT = {unit: meant for unit, meant in _MEANT.items() if meant in _BYTES}
_LONGEST = 24 * _MICROSECONDS["h"]
_SMALLEST_MEMORY = 2**20
_RANGE = r"(\d{1,6})\.\.(\d{1,6})"


def problem(what: str, hint: str) -> PydanticCustomError:
    """Return a validation error whose hint reaches the user."""
    return PydanticCustomError("quantity", "{what}", {"what": what, "hint": hint})


def format_duration(microseconds: int) -> str:
    """Return a duration in the largest unit that gives a whole number: `1500us`, `2ms`, `1m`."""
    for unit, size in _MICROSECONDS.items():
        if microseconds and microseconds % size == 0:
            return f"{microseconds // size}{unit}"
    return "0s"


def format_size(size: int) -> str:
    """Return a size in the largest binary unit that divides it: `4Gi`, `1500Mi`, `1000`."""
    for unit, factor in _BYTES.items():
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def format_processors(count: float) -> int | str:
    """Return processors as a whole number, or in thousandths as in Kubernetes: `500m`."""
    written = processors_text(count)
    return int(written) if written.isdigit() else written


def _duration(value: Any) -> int:
    text = _text(value, "a duration", "Write one like 500us, 10ms, 60s or 5m.")
    if text == "0":
        return 0
    if re.fullmatch(r"\d+(\.\d+)?", text):
        raise problem(f"{text} has no unit", f"Write {text}ms, {text}s or {text}m.")
    try:
        microseconds = parse_duration(text) * 1e6
    except ValueError:
        raise problem(
            f"{text!r} is not a duration",
            _proposal(text, _DURATION_MEANT) or "Write one like 500us, 10ms, 60s or 5m.",
        ) from None
    if microseconds > _LONGEST:
        raise problem(f"{text} is longer than 24h", "Write a duration of at most 24h.")
    return round(microseconds)


def _memory(value: Any) -> int:
    text = _text(value, "a size", "Write one like 512Mi, 4Gi or 2GB.")
    try:
        size = parse_size(text)
    except (ValueError, OverflowError):
        raise problem(
            f"{text!r} is not a size",
            _proposal(text, _SIZE_MEANT) or "Write one like 512Mi, 4Gi or 2GB.",
        ) from None
    if size < _SMALLEST_MEMORY:
        hint = f"Write {text}Mi or {text}Gi." if text.isdigit() else "Write one like 512Mi or 4Gi."
        raise problem(f"{text} is only {size} bytes", hint)
    if size > 2**60:
        raise problem(f"{text} is more than any machine has", "Write one like 512Mi or 4Gi.")
    return size


def _processors(value: Any) -> float:
    hint = "Write a number of processors like 2, 0.5 or 500m."
    text = _text(value, "a number of processors", hint)
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)(m?)", text)
    if match is None:
        raise problem(f"{text!r} is not a number of processors", hint)
    count = float(match[1]) / (1000 if match[2] else 1)
    if not 0.001 <= count <= 10_000:
        raise problem(f"{text} is not between 1m and 10000 processors", hint)
    return round(count, 3)


def replica_range(value: Any) -> ReplicaRange:
    """Return a number, `2..10` or `{min, max}` as a range; raises a validation error."""
    if isinstance(value, ReplicaRange):
        return value
    bounds = value
    written = re.fullmatch(_RANGE, value) if isinstance(value, str) else None
    if written is not None:
        bounds = {"min": int(written[1]), "max": int(written[2])}
    elif not isinstance(value, dict):
        bounds = {"min": value, "max": value}
    elif set(value) != {"min", "max"}:
        raise problem("a range has exactly `min` and `max`", "Write a number, such as replicas: 2.")
    for bound in bounds.values():
        if isinstance(bound, bool) or not isinstance(bound, int):
            shown = repr(bound) if isinstance(bound, str) else _number_text(bound)
            raise problem(f"{shown} is not a whole number", "Write a number, such as 2.")
    least, most = bounds["min"], bounds["max"]
    if most > MOST_REPLICAS:
        raise problem(f"{most} is above {MOST_REPLICAS}", f"Write {MOST_REPLICAS} or less.")
    if most < 1 or least < 0:
        wrong, bound = (most, 1) if most < 1 else (least, 0)
        raise problem(f"{wrong} is below {bound}", f"Write {bound} or more.")
    if least > most:
        raise problem(f"min is {least} and max is {most}", "Write a max that is not below min.")
    return ReplicaRange(least, most)


def format_replicas(value: ReplicaRange) -> int | str:
    """Return a range in its written form, `2..10`: a number if min and max are equal."""
    return value.minimum if value.fixed else f"{value.minimum}..{value.maximum}"


def _start_timeout(value: Any) -> int:
    microseconds = _duration(value)
    if microseconds < SHORTEST_START_TIMEOUT * 1e6:
        raise problem(f"{value} is shorter than 1s", "Write one like 5m or 30m.")
    return microseconds


def _timeout(value: Any) -> int:
    microseconds = _duration(value)
    if not SHORTEST_TIMEOUT * 1e6 <= microseconds <= LONGEST_TIMEOUT * 1e6:
        raise problem(f"{value} is not between 10ms and 1d", "Write one like 30s or 5m.")
    return microseconds


def _tolerance(value: Any) -> float:
    hint = f"Write a number above 0 and at most {LARGEST_TOLERANCE}, such as 1e-3."
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise problem(f"{_value_text(value)} is not a number", hint)
    if not 0 < value <= LARGEST_TOLERANCE:
        raise problem(f"{value} is not between 0 and {LARGEST_TOLERANCE}", hint)
    return float(value)


def _number_text(value: Any) -> str:
    return str(value) if isinstance(value, float) else _value_text(value)


def _text(value: Any, wanted: str, hint: str) -> str:
    """Return a scalar's text; raises a validation error for booleans, lists and the like."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise problem(f"{_value_text(value)} is not {wanted}", hint)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise problem(f"{value} is not {wanted}", hint)
        return f"{value:f}".rstrip("0").rstrip(".")
    text = str(value).strip()
    if len(text) > 40:
        raise problem(f"{text[:40]}… is not {wanted}", hint)
    return text


def _value_text(value: Any) -> str:
    names = {bool: str(value).lower(), type(None): "an empty value", list: "a list"}
    return names.get(type(value), "a mapping")


def _proposal(text: str, meant: dict[str, str]) -> str | None:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-zµμ]+)", text)
    unit = meant.get(match[2].lower()) if match else None
    return f"Write {match[1]}{unit}." if match and unit else None


Duration = Annotated[
    int,
    BeforeValidator(_duration),
    PlainSerializer(format_duration),
    WithJsonSchema(
        {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(us|ms|s|m|min|h|d)$", "examples": ["10ms"]}
    ),
]
"""Microseconds."""

Memory = Annotated[
    int,
    BeforeValidator(_memory),
    PlainSerializer(format_size),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "pattern": r"^\d+(\.\d+)?\s*(B|[KMGT](i?B|i)?)?$",
            "examples": ["4Gi"],
        }
    ),
]
"""Bytes."""

Processors = Annotated[
    float,
    BeforeValidator(_processors),
    PlainSerializer(format_processors),
    WithJsonSchema(
        {"type": ["number", "string"], "pattern": r"^\d+(\.\d+)?m?$", "examples": [2, "500m"]}
    ),
]
"""Processors (threads of the machine), fractions allowed."""

StartTimeout = Annotated[
    int,
    BeforeValidator(_start_timeout),
    PlainSerializer(format_duration),
    WithJsonSchema(
        {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(s|m|min|h)$", "examples": ["15m"]}
    ),
]
"""Microseconds, at least a second."""

Timeout = Annotated[
    int,
    BeforeValidator(_timeout),
    PlainSerializer(format_duration),
    WithJsonSchema(
        {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|min|h|d)$", "examples": ["30s"]}
    ),
]
"""Microseconds, from 10 ms to a day."""

Tolerance = Annotated[
    float,
    BeforeValidator(_tolerance),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": LARGEST_TOLERANCE}),
]
"""A fraction of a tensor's largest magnitude."""

_REPLICA_COUNT = {"type": "integer", "minimum": 1, "maximum": MOST_REPLICAS}

Replicas = Annotated[
    ReplicaRange,
    BeforeValidator(replica_range),
    PlainSerializer(format_replicas),
    WithJsonSchema(
        {
            "anyOf": [
                _REPLICA_COUNT,
                {"type": "string", "pattern": f"^{_RANGE}$", "examples": ["2..10"]},
                {
                    "type": "object",
                    "properties": {
                        "min": _REPLICA_COUNT | {"minimum": 0},
                        "max": _REPLICA_COUNT,
                    },
                    "required": ["min", "max"],
                    "additionalProperties": False,
                    "description": "A range; a cluster follows `autoscale` within it.",
                },
            ]
        }
    ),
]
"""A number of replicas, or a range of them."""
