"""Where a fitted estimator changes its answer: thresholds of its trees, centres of its scalers.

They are followed back through the steps of a pipeline to the columns that clients send. A way back
is a column's name or place, and how a value after some steps becomes one of it; None where a step
does not scale each column alone. Syntax for Python 3.8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_MOST = 200
"""Values that are kept for a column."""
_SAME = ("SimpleImputer", "KNNImputer", "IterativeImputer", "FunctionTransformer")


def landmarks(estimator: Any, columns: list[Any]) -> dict[Any, Array]:
    """Return sorted values by column; `columns` are names, or places of a matrix."""
    found: dict[Any, list[Array]] = {}
    _follow(estimator, [(column, _same) for column in columns], found)
    kept = {}
    for column, parts in found.items():
        values = np.unique(np.concatenate(parts))
        values = values[np.isfinite(values)]
        if len(values) > _MOST:
            values = values[np.linspace(0, len(values) - 1, _MOST).astype(int)]
        kept[column] = values
    return {column: values for column, values in kept.items() if len(values)}


def _same(values: Array) -> Array:
    return values


def _follow(estimator: Any, ways: list[Any], found: dict[Any, list[Array]]) -> list[Any]:
    """Note the values of an estimator; return the ways back from the columns that it gives."""
    if hasattr(estimator, "steps"):
        for _, step in estimator.steps:
            ways = ways if step in (None, "passthrough") else _follow(step, ways, found)
        return ways
    if hasattr(estimator, "transformers_"):
        return _of_columns(estimator, ways, found)
    if getattr(estimator, "_preprocessor", None) is not None:
        ways = _of_columns(estimator._preprocessor, ways, found)
    for feature, values in thresholds(estimator):
        if feature < len(ways) and ways[feature] is not None:
            column, back = ways[feature]
            found.setdefault(column, []).append(back(np.asarray(values, np.float64)))
    return _after(estimator, ways, found)


def _of_columns(transformer: Any, ways: list[Any], found: dict[Any, list[Array]]) -> list[Any]:
    names = [way[0] if way else None for way in ways]
    after: list[Any] = [None] * sum(
        part.stop - part.start for part in transformer.output_indices_.values()
    )
    for name, step, chosen in transformer.transformers_:
        part = transformer.output_indices_.get(name)
        if part is None or (isinstance(step, str) and step == "drop"):
            continue
        places = _places(chosen, names)
        inner = [ways[place] for place in places]
        given = inner if isinstance(step, str) else _follow(step, inner, found)
        if len(given) == part.stop - part.start:
            after[part] = given
    return after


def _places(chosen: Any, names: list[Any]) -> list[int]:
    if isinstance(chosen, slice):
        return list(range(*chosen.indices(len(names))))
    listed = [chosen] if isinstance(chosen, (str, int)) else list(chosen)
    if listed and isinstance(listed[0], (bool, np.bool_)):
        return [place for place, taken in enumerate(listed) if taken]
    return [names.index(each) if each in names else int(each) for each in listed]


def _after(step: Any, ways: list[Any], found: dict[Any, list[Array]]) -> list[Any]:
    """Return the ways back from what a step gives, if it scales each column alone."""
    kind = type(step).__name__
    if kind in _SAME:
        return ways
    centre, scale = _scaling(step, kind)
    if scale is None:
        return [None] * _width(step)
    after: list[Any] = []
    for way, shift, factor in zip(ways, centre, scale):  # noqa: B905 - Python 3.8
        if way is None:
            after.append(None)
            continue
        column, back = way
        spread = np.array([shift - factor, shift, shift + factor])
        found.setdefault(column, []).append(back(spread))
        after.append((column, _scaled(back, shift, factor)))
    return after


def _scaled(
    back: Callable[[Array], Array], shift: float, factor: float
) -> Callable[[Array], Array]:
    return lambda values: back(values * factor + shift)


def _scaling(step: Any, kind: str) -> tuple[Any, Any]:
    """Return centre and scale of each column, so that a value is `scaled * scale + centre`."""
    if kind in {"StandardScaler", "RobustScaler", "MaxAbsScaler"}:
        scale = getattr(step, "scale_", None)
        centre = getattr(step, "mean_" if kind == "StandardScaler" else "center_", None)
        known = centre if scale is None else scale
        if known is None:
            return None, None
        zeros, ones = np.zeros(len(known)), np.ones(len(known))
        return (zeros if centre is None else centre), (ones if scale is None else scale)
    if kind == "MinMaxScaler":
        return -step.min_ / step.scale_, 1 / step.scale_
    return None, None


def _width(step: Any) -> int:
    try:
        return len(step.get_feature_names_out())
    except (AttributeError, ValueError, TypeError):
        return 0


# ── the thresholds of trees ───────────────────────────────────────────────────────────────────


def thresholds(estimator: Any) -> list[tuple[int, Array]]:
    """Return the thresholds of an estimator's trees by feature; empty for one without trees."""
    pairs = _of_booster(estimator)
    if pairs is None:
        pairs = list(_of_trees(estimator))
    if not pairs:
        return []
    features = np.concatenate([each[0] for each in pairs])
    values = np.concatenate([each[1] for each in pairs])
    return [(int(each), np.unique(values[features == each])) for each in np.unique(features)]


def _of_trees(estimator: Any) -> Any:
    tree = getattr(estimator, "tree_", None)
    if tree is not None:
        inner = tree.children_left >= 0
        yield tree.feature[inner], tree.threshold[inner]
    for stage in getattr(estimator, "_predictors", []):  # histogram gradient boosting
        for predictor in stage:
            inner = predictor.nodes[predictor.nodes["is_leaf"] == 0]
            yield inner["feature_idx"].astype(int), inner["num_threshold"]
    inner = getattr(estimator, "estimators_", None)
    if inner is None:
        inner = getattr(estimator, "estimator_", None)
    parts = [] if inner is None else inner if isinstance(inner, (list, np.ndarray)) else [inner]
    for part in np.asarray(parts, dtype=object).ravel():
        if hasattr(part, "get_params"):
            yield from _of_trees(part)
    for part in getattr(estimator, "calibrated_classifiers_", []):
        yield from _of_trees(part.estimator)


def _of_booster(estimator: Any) -> Any:
    """Return the splits of XGBoost or LightGBM; None for anything else."""
    booster: Any = getattr(estimator, "booster", None)
    if hasattr(estimator, "get_booster"):
        booster = estimator.get_booster()
    elif hasattr(estimator, "booster_"):
        booster = estimator.booster_
    if not hasattr(booster, "trees_to_dataframe"):
        return None
    try:
        table = booster.trees_to_dataframe()
    except Exception:  # noqa: BLE001 - a linear booster has no trees
        return []
    of_xgboost = "Split" in table
    table = table[table["Split" if of_xgboost else "threshold"].notna()]
    names = list(booster.feature_names or []) if of_xgboost else booster.feature_name()
    named = table["Feature" if of_xgboost else "split_feature"]
    places = [names.index(each) if each in names else int(each[1:]) for each in named]
    values = table["Split" if of_xgboost else "threshold"]
    numbers = np.asarray([_number(each) for each in values], dtype=np.float64)
    return [(np.asarray(places, dtype=int), numbers)]


def _number(value: Any) -> float:
    try:
        return float(value)
    except ValueError:  # the categories of a split
        return float("nan")
