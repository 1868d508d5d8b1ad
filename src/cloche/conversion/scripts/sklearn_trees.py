"""Corrects the trees of a converted model where the converters lose something.

Syntax for Python 3.8.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper, numpy_helper
from sklearn_landmarks import thresholds


def correct(graph: Any, parts: list[Any], *, wide: bool) -> None:
    """Correct thresholds and missing values; `parts` are an estimator and all in it.

    `wide` says that the trees are given FP64.
    """
    found = [node for node in graph.node if node.op_type.startswith("TreeEnsemble")]
    nodes = [_attributes(node) for node in found]
    exact = _exact(parts)
    for node, attributes in zip(found, nodes):  # noqa: B905 - Python 3.8
        if "nodes_values" in attributes and exact:
            if wide:
                _widen(node, attributes["nodes_values"], exact)
            else:
                _round_down(attributes, exact)
    _track_missing(nodes, _trees(parts[-1]))


def _attributes(node: Any) -> dict[str, Any]:
    return {attribute.name: attribute for attribute in node.attribute}


def _exact(parts: list[Any]) -> dict[Any, set[float]]:
    """Return the thresholds of trees that compare in FP64, by their nearest FP32.

    Those of scikit-learn's plain trees are compared with FP32, and converted so.
    """
    exact: dict[Any, set[float]] = {}
    for model in parts:
        compares = hasattr(model, "booster_") or hasattr(model, "_predictors")
        if compares or type(model).__name__ == "LightgbmBooster":
            for _, values in thresholds(model):
                for value in values:
                    exact.setdefault(np.float32(value), set()).add(float(value))
    return exact


def _round_down(attributes: dict[str, Any], exact: dict[Any, set[float]]) -> None:
    """Take the largest FP32 that is no greater than a threshold, where converters take the nearest.

    A value of FP32 is at most the threshold if it is at most that.
    """
    values = attributes["nodes_values"].floats
    for place, mode in enumerate(attributes["nodes_modes"].strings):
        known = {_at_most(each) for each in exact.get(np.float32(values[place]), set())}
        if mode == b"BRANCH_LEQ" and len(known) == 1:
            values[place] = known.pop()


def _at_most(value: float) -> Any:
    nearest = np.float32(value)
    return nearest if float(nearest) <= value else np.nextafter(nearest, np.float32(-np.inf))


def _widen(node: Any, attribute: Any, exact: dict[Any, set[float]]) -> None:
    """Write thresholds in FP64, which ONNX takes as another attribute."""
    values = []
    for value in attribute.floats:
        known = exact.get(np.float32(value), set())
        values.append(next(iter(known)) if len(known) == 1 else float(value))
    tensor = numpy_helper.from_array(np.asarray(values, np.float64), "nodes_values_as_tensor")
    node.attribute.remove(attribute)
    node.attribute.append(helper.make_attribute("nodes_values_as_tensor", tensor))


def _trees(estimator: Any) -> list[Any]:
    """Return the trees of a forest of scikit-learn, in order."""
    if hasattr(estimator, "tree_"):
        return [estimator.tree_]
    inner = getattr(estimator, "estimators_", None)
    if not isinstance(inner, list) or not all(hasattr(each, "tree_") for each in inner):
        return []
    return [each.tree_ for each in inner]


def _track_missing(nodes: list[dict[str, Any]], trees: list[Any]) -> None:
    """Say which way a missing value goes: skl2onnx sends all of them to the right.

    The trees are in one node, or each in its own, in order.
    """
    lefts = [tree.missing_go_to_left for tree in trees if hasattr(tree, "missing_go_to_left")]
    if len(lefts) < len(trees):  # a release that takes no missing values
        return
    places = [_places(attributes) for attributes in nodes]
    sizes = [size for each in places for size in _sizes(*each)]
    if sizes != [len(left) for left in lefts]:  # trees of the converter's own making
        return
    first = 0
    for attributes, (trees_of_node, nodes_of_tree) in zip(nodes, places):  # noqa: B905
        tracks = attributes["nodes_missing_value_tracks_true"].ints
        for place, (tree, node) in enumerate(zip(trees_of_node, nodes_of_tree)):  # noqa: B905
            tracks[place] = int(lefts[first + tree][node])
        first += len(set(trees_of_node))


def _sizes(trees: Any, nodes: Any) -> list[int]:
    """Return how many nodes each tree has, in order."""
    sizes: dict[int, int] = {}
    for tree, node in zip(trees, nodes):  # noqa: B905 - Python 3.8
        sizes[tree] = max(sizes.get(tree, 0), node + 1)
    return list(sizes.values())


def _places(attributes: dict[str, Any]) -> tuple[Any, Any]:
    return attributes["nodes_treeids"].ints, attributes["nodes_nodeids"].ints
