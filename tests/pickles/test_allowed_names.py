"""The allow-list: exact names that make objects, and nothing that runs, imports or opens."""

from __future__ import annotations

import _compat_pickle
import re

import pytest

from cloche.pickles.allowed import allowed_names, is_allowed, makes_no_text


@pytest.mark.parametrize(
    "name",
    [
        "builtins.eval", "builtins.exec", "builtins.getattr", "builtins.__import__",
        "builtins.open", "builtins.type", "builtins.map", "builtins.apply", "builtins.compile",
        "functools.partial", "functools.reduce", "operator.attrgetter", "operator.methodcaller",
        "operator.itemgetter", "importlib.import_module", "pydoc.locate", "os.system",
        "posix.system", "subprocess.Popen", "collections.namedtuple", "pickle.loads",
        "_pickle.loads", "marshal.loads", "types.CodeType", "types.FunctionType",
        "types.MethodType", "numpy.load", "numpy.memmap", "numpy.frompyfunc", "numpy.fromfile",
        "numpy.core._internal._ufunc_reconstruct", "numpy.core._ufunc_reconstruct",
        "numpy.vectorize", "joblib.load", "joblib.numpy_pickle_compat.NDArrayWrapper",
        "pandas.read_pickle", "pandas.eval", "torch.load", "torch.hub.load",
        "torch.storage._load_from_bytes", "torch.jit.load",
        "torch.jit._script.RecursiveScriptModule",
        "torch.nn.parallel.distributed.DistributedDataParallel", "scipy.stats.rv_continuous",
        "scipy.stats._distn_infrastructure.rv_continuous_frozen", "sklearn.datasets.fetch_openml",
        "sklearn.utils.parallel.delayed", "cloudpickle.cloudpickle._make_function",
        "dill._dill._create_function", "__main__.Model",
    ],
)  # fmt: skip
def test_what_runs_or_reaches_out_is_not_on_the_list(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert not is_allowed(module, attribute)


def test_a_prefix_or_a_path_of_attributes_is_no_permission() -> None:
    assert is_allowed("collections", "OrderedDict")
    assert not is_allowed("collections", "OrderedDict.fromkeys")
    assert not is_allowed("collections", "abc")
    assert not is_allowed("sklearn", "linear_model._logistic.LogisticRegression")
    assert is_allowed("sklearn.linear_model._logistic", "LogisticRegression")


def test_the_list_holds_names_of_libraries_that_people_pickle() -> None:
    packages = {name.partition(".")[0] for name in allowed_names()}
    assert {"builtins", "numpy", "pandas", "scipy", "sklearn", "torch", "xgboost"} <= packages
    assert all(re.fullmatch(r"[\w.]+\.\w+", name) for name in allowed_names())


def test_names_of_python_2_lead_to_names_on_the_list() -> None:
    """Up to protocol 2 an unpickler maps them, unless it is told otherwise."""
    for text in allowed_names():
        module, _, name = text.rpartition(".")
        module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
        module = _compat_pickle.IMPORT_MAPPING.get(module, module)
        assert is_allowed(module, name), text


def test_calls_that_may_make_a_name() -> None:
    assert makes_no_text("builtins", "dict")
    assert not makes_no_text("builtins", "str")
    assert not makes_no_text("os", "getcwd")
