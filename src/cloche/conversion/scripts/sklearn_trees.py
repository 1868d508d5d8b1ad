"""Corrects the trees of a converted model where the converters lose something.

Syntax for Python 3.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn_landmarks import thresholds

if TYPE_CHECKING:
    from collections.abc import Iterator


def correct(graph: Any, parts: list[Any]) -> None:
    """Correct thresholds and missing values; `parts` are an estimator and all in it."""
    nodes = [_attributes(node) for node in graph.node if node.op_type.startswith("TreeEnsemble")]
    exact = _exact(parts)
    for attributes in nodes:
        _round_down(attributes, exact)
    trees = _trees(parts[-1])
    if len(nodes) == 1 and trees and len(set(nodes[0]["nodes_treeids"].ints)) == len(trees):
        _track_missing(nodes[0], trees)


def _attributes(node: Any) -> dict[str, Any]:
    return {attribute.name: attribute for attribute in node.attribute}


def _exact(parts: list[Any]) -> dict[Any, set[Any]]:
    """Return the FP32 thresholds of trees whose own are FP64, by their nearest FP32.

    A value of FP32 is at most a threshold of FP64 if it is at most the largest FP32 that is none
    greater. Converters take the nearest one, except for scikit-learn's plain trees.
    """
    exact: dict[Any, set[Any]] = {}
    for model in parts:
        wide = hasattr(model, "booster_") or hasattr(model, "_predictors")
        if wide or type(model).__name__ == "LightgbmBooster":
            for _, values in thresholds(model):
                for value in values:
                    exact.setdefault(np.float32(value), set()).add(_at_most(value))
    return exact


def _at_most(value: float) -> Any:
    nearest = np.float32(value)
    return nearest if nearest <= value else np.nextafter(nearest, np.float32(-np.inf))


def _round_down(attributes: dict[str, Any], exact: dict[Any, set[Any]]) -> None:
    if "nodes_values" not in attributes:
        return
    values = attributes["nodes_values"].floats
    for place, mode in enumerate(attributes["nodes_modes"].strings):
        known = exact.get(np.float32(values[place]), set())
        if mode == b"BRANCH_LEQ" and len(known) == 1:
            values[place] = next(iter(known))


def _trees(estimator: Any) -> list[Any]:
    """Return the trees of a forest of scikit-learn, in order."""
    if hasattr(estimator, "tree_"):
        return [estimator.tree_]
    inner = getattr(estimator, "estimators_", None)
    if not isinstance(inner, list) or not all(hasattr(each, "tree_") for each in inner):
        return []
    return [each.tree_ for each in inner]


def _track_missing(attributes: dict[str, Any], trees: list[Any]) -> None:
    """Say which way a missing value goes: skl2onnx sends all of them to the right."""
    lefts = [tree.missing_go_to_left for tree in trees if hasattr(tree, "missing_go_to_left")]
    if len(lefts) < len(trees):  # a release that takes no missing values
        return
    tracks = attributes["nodes_missing_value_tracks_true"].ints
    for place, (tree, node) in enumerate(_places(attributes)):
        tracks[place] = int(lefts[tree][node])


def _places(attributes: dict[str, Any]) -> Iterator[tuple[int, int]]:
    return zip(attributes["nodes_treeids"].ints, attributes["nodes_nodeids"].ints)  # noqa: B905
