"""The range of each input, from every operator that it reaches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche.artifacts import ValueRange
from cloche.formats.onnx.uses import arguments, bounds, indices

if TYPE_CHECKING:
    from onnx import NodeProto

    from cloche.formats.onnx.uses.flow import Flow


@dataclass(frozen=True, slots=True)
class Limits:
    """Ranges by input; `guessed` are arguments that no shape tells."""

    ranges: dict[str, ValueRange]
    guessed: frozenset[str]


def of(flow: Flow) -> Limits:
    """Return the range of each input that something restricts."""
    found: dict[str, ValueRange] = {}
    guessed: set[str] = set()
    told: set[str] = set()
    for node in flow.nodes:
        for position, name in enumerate(node.input):
            for carried in flow.carried.get(name, ()):
                limit = _limit(node, position, flow)
                if limit is None:
                    continue
                (guessed if arguments.is_guess(node, position, limit) else told).add(carried.input)
                if limit.values and not carried.whole:
                    limit = _between(limit)
                known = found.get(carried.input)
                found[carried.input] = limit if known is None else _both(known, limit)
    return Limits(found, frozenset(guessed - told))


def _limit(node: NodeProto, position: int, flow: Flow) -> ValueRange | None:
    for limit in (arguments.limit, indices.limit, bounds.limit):
        found = limit(node, position, flow)
        if found is not None:
            return found
    return None


def _between(limit: ValueRange) -> ValueRange:
    """Return the range of values that are known but not in which order."""
    return replace(limit, low=min(limit.values), high=max(limit.values), values=())


def _both(first: ValueRange, second: ValueRange) -> ValueRange:
    """Return what two uses of one input ask for; the first where they have nothing in common."""
    if first.values or second.values:
        return first if first.values else second
    lows = [low for low in (first.low, second.low) if low is not None]
    highs = [high for high in (first.high, second.high) if high is not None]
    low, high = max(lows, default=None), min(highs, default=None)
    if low is not None and high is not None and low > high:
        return first
    tighter = second if second.high is not None and second.high == high else first
    return ValueRange(low, high, first.whole or second.whole, tighter.why)
