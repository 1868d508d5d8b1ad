"""Print names for the allow-list of cloche.pickles, from the libraries that are installed here.

    PYTHONPATH=src python tools/allowed_names.py scikit-learn

Classes are enumerated, fitted estimators are really pickled and read. One line per name, of the
library's own modules; merge the output of several versions with `sort -u` into the part above
"judged by hand" of `src/cloche/pickles/allowed/LIBRARY.txt`. Each name that is new has to be
judged: a class of estimators, layers or values may stay, a function only if it rebuilds an object
and does no more with anybody's arguments. The committed lists come from scikit-learn 1.5.2 and
1.9.1, XGBoost 3.2.0 and 3.4.1, LightGBM 4.7.0, pandas 2.2.3, 3.0.6 and 3.1.1, NumPy 1.26.4 and
2.5.5, SciPy 1.17.1 and 1.18.1, torch 2.15.0 and torchvision 0.29.2.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pickle
import pkgutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloche.pickles import scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType


def main() -> None:
    """Print the names of the library that the command line gives."""
    warnings.simplefilter("ignore")
    name, packages, names = LIBRARIES[sys.argv[1]]
    found = {text for text in names() if text.partition(".")[0] in packages}
    print(f"# {name}")
    print("\n".join(sorted(found)))


def names_in(value: Any) -> set[str]:
    """Return the names in a value's pickles, of all protocols; none if it cannot be pickled."""
    names: set[str] = set()
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        with tempfile.NamedTemporaryFile(suffix=".pkl") as file:
            # Not everything that is fitted can be pickled.
            with contextlib.suppress(Exception):
                file.write(pickle.dumps(value, protocol))
            file.flush()
            names |= {str(found) for found in scan(Path(file.name)).names}
    return names


def modules_of(package: str) -> Iterator[ModuleType]:
    """Yield a package's modules that can be imported, except its tests."""
    top = importlib.import_module(package)
    yield top
    for info in pkgutil.walk_packages(top.__path__, f"{package}.", onerror=lambda _: None):
        if ".tests" in info.name or info.name.endswith("__main__"):
            continue
        # Some parts need what is not installed.
        with contextlib.suppress(Exception):
            yield importlib.import_module(info.name)


def classes_in(package: str, base: type) -> set[str]:
    """Return the subclasses of a class that a package's modules define."""
    return {
        f"{value.__module__}.{value.__qualname__}"
        for module in modules_of(package)
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, base)
        and value.__module__ == module.__name__
    }


def scikit_learn() -> set[str]:
    """Return estimators, with every text option of theirs fitted, kernels, splits and scorers.

    Up to scikit-learn 1.5 the losses name their module `_loss`.
    """
    from sklearn.gaussian_process.kernels import Kernel
    from sklearn.metrics import get_scorer, get_scorer_names
    from sklearn.metrics._dist_metrics import DistanceMetric
    from sklearn.utils import all_estimators

    names = {f"{kind.__module__}.{kind.__qualname__}" for _, kind in all_estimators()}
    names |= classes_in("sklearn.gaussian_process", Kernel)
    names |= classes_in("sklearn.metrics", DistanceMetric)
    for _, kind in all_estimators():
        for estimator in _configured(kind):
            names |= _fitted(estimator)
    for scorer in get_scorer_names():
        names |= names_in(get_scorer(scorer))
    for split in vars(importlib.import_module("sklearn.model_selection")).values():
        if inspect.isclass(split) and hasattr(split, "split"):
            names.add(f"{split.__module__}.{split.__qualname__}")
    return names | _more_of_scikit_learn()


def _more_of_scikit_learn() -> set[str]:
    import numpy as np
    import pandas as pd
    from sklearn import feature_selection, neighbors
    from sklearn.compose import ColumnTransformer, make_column_selector
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import BallTree, KDTree
    from sklearn.preprocessing import FunctionTransformer, StandardScaler
    from sklearn.svm import SVC

    points = np.random.default_rng(0).random((30, 4))
    values: list[Any] = [KDTree(points), BallTree(points), neighbors.KernelDensity().fit(points)]
    for metric in neighbors.VALID_METRICS["ball_tree"]:
        try:
            values.append(BallTree(points, metric=metric))
        except (TypeError, ValueError):
            continue
    values.append(GridSearchCV(SVC(), {"C": [1, 2]}, cv=2).fit(points, [0, 1] * 15))
    for rest in ("drop", "passthrough"):
        columns = ColumnTransformer([("a", StandardScaler(), ["a", "b"])], remainder=rest)
        table = pd.DataFrame(points, columns=list("abcd"))
        values += [columns.fit(table), columns.set_output(transform="pandas")]
    values += [FunctionTransformer(np.log1p), make_column_selector("a")]
    scores = "f_classif f_regression chi2 r_regression mutual_info_classif mutual_info_regression"
    values += [getattr(feature_selection, score) for score in scores.split()]
    return set().union(*map(names_in, values))


def _configured(kind: Any) -> Iterator[Any]:
    """Yield an estimator as it is, and with each text that its parameters declare."""
    made = _made(kind)
    if made is None:
        return
    yield made
    from sklearn.base import clone
    from sklearn.utils._param_validation import StrOptions

    for parameter, allowed in getattr(kind, "_parameter_constraints", {}).items():
        # With the input "filename", numbers would be opened as files, and standard output closed.
        constraints = allowed if isinstance(allowed, list) and parameter != "input" else ()
        for constraint in constraints:
            if not isinstance(constraint, StrOptions):
                continue
            for option in constraint.options:
                try:
                    yield clone(made).set_params(**{parameter: option})
                except ValueError:
                    continue


def _made(kind: Any) -> Any:
    """Make an estimator as scikit-learn's own checks do."""
    from sklearn.linear_model import LogisticRegression

    try:
        return kind()
    except TypeError:
        pass
    for arguments in ((LogisticRegression(),), ([("a", LogisticRegression())],)):
        try:
            return kind(*arguments)
        except TypeError:
            continue
    return None


def _fitted(estimator: Any) -> set[str]:
    """Return the names of the first fit that works."""
    import numpy as np

    random = np.random.default_rng(0)
    numbers = random.random((30, 4))
    classes = np.array([0, 1] * 15)
    if "n_estimators" in estimator.get_params():
        estimator.set_params(n_estimators=3)
    tries: list[tuple[Any, ...]] = [
        (numbers, classes), (numbers, random.random(30)), (numbers,), (classes,), (numbers[:, 0],),
        (["a b", "c d"] * 15, classes), ([{"a": 1}] * 30,), ([["a"], ["b"]] * 15,),
        (numbers, random.random((30, 2))), (numbers[:, 0], random.random(30)),
    ]  # fmt: skip
    names: set[str] = set()
    for data in tries:
        # Most estimators take some of them only.
        with contextlib.suppress(Exception):
            names |= names_in(estimator.fit(*data))
    return names


def boosters(package: str) -> Callable[[], set[str]]:
    """Return what reads the estimators and boosters of XGBoost or LightGBM."""

    def names() -> set[str]:
        import numpy as np

        library = importlib.import_module(package)
        data = np.random.default_rng(0).random((60, 4))
        found: set[str] = set()
        for kind in vars(library).values():
            if not inspect.isclass(kind) or not hasattr(kind, "fit") or "Dask" in kind.__name__:
                continue
            found.add(f"{kind.__module__}.{kind.__qualname__}")
            for target in (np.array([0, 1] * 30), data[:, 0]):
                # Classifiers refuse numbers, regressors take both.
                with contextlib.suppress(Exception):
                    found |= names_in(kind(n_estimators=2).fit(data, target))
        return found | {f"{library.Booster.__module__}.Booster"}

    return names


def pandas() -> set[str]:
    """Return what frames, indexes and extension arrays are pickled as."""
    import pandas as pd

    days = pd.date_range("2026-01-31", periods=3)
    frame = pd.DataFrame({
        "n": [1, 2, 3], "f": [0.5, None, 1.0], "s": ["a", "b", None], "d": days, "b": [True] * 3,
        "z": days.tz_localize("UTC"), "t": days - days[0], "o": [{}, [], 1],
        "p": days.to_period("D"),
        "c": pd.Categorical(["a", "b", "a"]), "i": pd.array([1, None, 2], dtype="Int64"),
        "g": pd.array([1, None, 2], dtype="Float64"), "u": pd.array([True, None, False]),
        "w": pd.array(["a", None, "b"], dtype="string"), "r": pd.interval_range(0, 3),
        "x": pd.arrays.SparseArray([0, 0, 1]),
    })  # fmt: skip
    values: list[Any] = [
        frame,
        *(frame[column] for column in frame),
        *map(pd.Index, frame.values.T),
    ]
    values += [frame.set_index(["n", "s"]), frame.dtypes, *frame.dtypes, days, days.freq, days[0]]
    values += [pd.Index(frame[column]) for column in frame] + [pd.NA, pd.NaT, days[1] - days[0]]
    values += [days.to_period("M"), pd.RangeIndex(3), frame.T, pd.Period("2026-01", "M")]
    values += [pd.Interval(0, 1), pd.offsets.MonthEnd(), pd.offsets.BDay(), pd.offsets.Hour()]
    return set().union(*map(names_in, values))


def numpy() -> set[str]:
    """Return scalars, types, ufuncs, and what arrays and generators are pickled as."""
    import numpy as np

    values: list[Any] = [np.ma.array([1], mask=[True]), np.rec.array([(1,)]), np.asmatrix([[1]])]
    values += [np.random.RandomState(0), np.asfortranarray(np.ones((2, 2))), np.float64(1)]
    values += [np.random.Generator(kind(0)) for kind in (
        np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64, np.random.PCG64DXSM,
    )]  # fmt: skip
    values += [np.random.SeedSequence(1), np.polynomial.Polynomial([1, 2]), np.poly1d([1, 2])]
    names = set().union(*map(names_in, values))
    for name, value in vars(np).items():
        if inspect.isclass(value) and issubclass(value, np.generic):
            names.add(f"numpy.{name}")
        if isinstance(value, np.ufunc):
            # A pickler takes the first module that has a function without one.
            names |= {f"numpy.{part}{name}" for part in ("", *UFUNC_MODULES)}
    if hasattr(np, "dtypes"):
        names |= {f"numpy.dtypes.{name}" for name in dir(np.dtypes) if name.endswith("DType")}
    return names


UFUNC_MODULES = ("core._multiarray_umath.", "_core._multiarray_umath.", "core.umath.")


def scipy() -> set[str]:
    """Return what sparse matrices and interpolations are pickled as."""
    import numpy as np
    from scipy import interpolate, sparse

    x = np.arange(8.0)
    values: list[Any] = [interpolate.interp1d(x, x), interpolate.make_interp_spline(x, x)]
    values += [interpolate.CubicSpline(x, x), interpolate.PchipInterpolator(x, x)]
    values += [interpolate.UnivariateSpline(x, x), interpolate.Akima1DInterpolator(x, x)]
    names = set().union(*map(names_in, values))
    for layout in ("csr", "csc", "coo", "bsr", "dia", "dok", "lil"):
        for kind in ("matrix", "array"):
            names |= names_in(getattr(sparse, f"{layout}_{kind}")(np.eye(3)))
            names.add(f"scipy.sparse.{layout}.{layout}_matrix")
    return names


def torch() -> set[str]:
    """Return the layers of torch, its storages, types and the functions that rebuild tensors."""
    import torch
    from torch._weights_only_unpickler import _get_allowed_globals

    names = classes_in("torch.nn.modules", torch.nn.Module)
    for name, value in vars(torch).items():
        storage = inspect.isclass(value) and name.endswith("Storage")
        if storage or isinstance(value, torch.dtype | torch.layout | torch.memory_format):
            names.add(f"torch.{name}")
    return names | set(_get_allowed_globals())


def torchvision() -> set[str]:
    """Return the layers of torchvision's models."""
    import torch

    found: Iterable[set[str]] = (
        classes_in(package, torch.nn.Module)
        for package in ("torchvision.models", "torchvision.ops")
    )
    return set().union(*found)


LIBRARIES: dict[str, tuple[str, tuple[str, ...], Callable[[], set[str]]]] = {
    "scikit-learn": ("scikit-learn", ("sklearn", "_loss"), scikit_learn),
    "xgboost": ("XGBoost", ("xgboost",), boosters("xgboost")),
    "lightgbm": ("LightGBM", ("lightgbm",), boosters("lightgbm")),
    "pandas": ("pandas", ("pandas",), pandas),
    "numpy": ("NumPy", ("numpy",), numpy),
    "scipy": ("SciPy", ("scipy",), scipy),
    "torch": ("torch", ("torch",), torch),
    "torchvision": ("torchvision", ("torchvision",), torchvision),
}

if __name__ == "__main__":
    main()
