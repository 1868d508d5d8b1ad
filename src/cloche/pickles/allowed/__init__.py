"""The allow-list: exact qualified names that a model's file may import, one text file per library.

A name is on it because calling it with anybody's arguments makes an object and does no more: types,
classes of estimators and layers, and the functions with which libraries rebuild their own objects.
A module's prefix is no permission. `tools/allowed_names.py` prints most of the files; what stands
below "judged by hand" in a file was added by people, with the reason.
"""

from __future__ import annotations

import functools
import sys
from importlib import resources


def is_allowed(module: str, name: str) -> bool:
    """Return whether exactly this name is on the list.

    A name with dots is looked up through attributes, and may lead anywhere: `numpy` with
    `sys.modules` as its name.
    """
    return "." not in name and f"{module}.{name}" in allowed_names()


@functools.cache
def allowed_names() -> frozenset[str]:
    """Return the whole list."""
    files = (file for file in resources.files(__name__).iterdir() if file.name.endswith(".txt"))
    lines = (line.strip() for file in files for line in file.read_text("utf-8").splitlines())
    return frozenset(line for line in lines if line and not line.startswith("#"))


def makes_no_text(module: str, name: str) -> bool:
    """Return whether a name is on the list, and a call of it returns no text, whatever it is given.

    Text that a call made can be a name to import.
    """
    return is_allowed(module, name) and f"{module}.{name}" not in _MAKE_TEXT


_MAKE_TEXT = frozenset({
    "__builtin__.str", "__builtin__.unicode", "builtins.str", "copy_reg._reconstructor",
    "copyreg.__newobj__",
    "copyreg.__newobj_ex__", "copyreg._reconstructor", "numpy._core.multiarray.scalar",
    "numpy.core.multiarray.scalar", "torch._tensor._rebuild_from_type_v2",
    "torch.jit._pickle.build_boollist", "torch.jit._pickle.build_doublelist",
    "torch.jit._pickle.build_intlist", "torch.jit._pickle.build_tensorlist",
    "torch.jit._pickle.restore_type_tag", "torch.serialization._get_layout",
})  # fmt: skip
"""What returns its argument, or text made of it."""


def may_be_installed(module: str) -> bool:
    """Return whether a module belongs to the standard library or to a usual package."""
    return module.partition(".")[0] in _packages()


@functools.cache
def _packages() -> frozenset[str]:
    listed = {name.partition(".")[0] for name in allowed_names()}
    return sys.stdlib_module_names | listed | {"cloudpickle", "dill", "pip", "setuptools"}
