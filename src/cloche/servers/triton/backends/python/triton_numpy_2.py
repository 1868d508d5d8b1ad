"""Makes the stub of this Triton work in an environment with numpy 2.

Runs inside the stub, loaded by `triton_python_backend_utils`. The stub was compiled for numpy 1 and
reads the item size of a dtype where numpy 2 keeps its flags, so it reads every size as 0. Arrays
made from inputs would have strides of 0 (each element equal to the first), strings would end the
process, and outputs would be empty. So with numpy 2

- the stub gets numpy's table of C functions with one replaced: the function that makes arrays
  computes strides of 0 itself;
- numeric outputs are handed over by DLPack, which carries its own sizes;
- the bytes of string outputs are an array whose dtype has its item size, 1, also where the stub
  looks for it.

Models see the usual interface. With numpy 1 nothing changes. Syntax for Python 3.8.
"""

from __future__ import annotations

import ctypes
import importlib
import struct
import warnings
from typing import Any

import numpy as np

# Indices in numpy's table of C functions, fixed by its ABI (numpy/__multiarray_api.h).
NEW_FROM_DESCR = 94
TABLE_LENGTH = 300
# struct _PyArray_Descr of numpy 2 on 64 bits: 16 bytes of object header, the type object, four
# letters, the type number; then eight bytes of flags (there numpy 1 had the item size) and the
# item size.
FLAGS_OFFSET = 32
ITEM_SIZE_OFFSET = 40

_kept: list[Any] = []  # objects that the stub points to as long as it runs


def adapt(utilities: Any) -> None:
    """Patch `triton_python_backend_utils` and the stub's own module if numpy 2 is installed."""
    if int(np.__version__.split(".")[0]) < 2:
        return
    import c_python_backend_utils as stub  # type: ignore[import-not-found]

    compiled = stub.Tensor
    _replace_array_maker(compiled)
    utilities.serialize_byte_tensor = serialize
    # The stub copies the name `Tensor` to the utilities after this module has been loaded.
    stub.Tensor = _constructor(compiled)


def _replace_array_maker(compiled: Any) -> None:
    numpy_itself: Any = importlib.import_module("numpy._core._multiarray_umath")
    python = ctypes.pythonapi
    python.PyCapsule_GetPointer.restype = ctypes.c_void_p
    python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    python.PyCapsule_New.restype = ctypes.py_object
    python.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    address = python.PyCapsule_GetPointer(numpy_itself._ARRAY_API, None)
    table = (ctypes.c_void_p * TABLE_LENGTH).from_buffer_copy(
        (ctypes.c_void_p * TABLE_LENGTH).from_address(address)
    )
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    sizes = ctypes.POINTER(ctypes.c_ssize_t)
    prototype = ctypes.PYFUNCTYPE(
        pointer, pointer, pointer, integer, sizes, sizes, pointer, integer, pointer
    )
    original = prototype(int(table[NEW_FROM_DESCR] or 0))

    def new_from_descr(*arguments: Any) -> Any:
        kind, dtype, dimensions, shape, strides, *rest = arguments
        if strides and not any(strides[axis] for axis in range(dimensions)):
            strides = None
        return original(kind, dtype, dimensions, shape, strides, *rest)

    replacement = prototype(new_from_descr)
    table[NEW_FROM_DESCR] = ctypes.cast(replacement, pointer).value
    capsule = python.PyCapsule_New(ctypes.addressof(table), None, None)
    _kept.extend([table, replacement, original, capsule])
    with warnings.catch_warnings():
        # The stub looks up the table under numpy 1's name, once, at its first use of numpy.
        warnings.simplefilter("ignore")
        import numpy.core.multiarray as old_name

        before = old_name._ARRAY_API
        old_name._ARRAY_API = capsule
        try:
            compiled("first use", np.zeros(1))
        finally:
            old_name._ARRAY_API = before


def _constructor(compiled: Any) -> Any:
    class Constructor(type):
        def __call__(cls, name: str, array: Any, *rest: Any) -> Any:
            array = np.asarray(array)
            if rest or array.dtype.kind not in "biuf":
                return compiled(name, array, *rest)
            native = array.dtype.newbyteorder("=")
            if array.dtype != native or not array.flags.c_contiguous or not array.flags.writeable:
                # DLPack carries neither byte order nor protection; astype keeps 0 dimensions.
                array = array.astype(native, order="C", copy=True)
            return compiled.from_dlpack(name, _Exported(array))

        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, compiled)

        def __getattr__(cls, name: str) -> Any:
            return getattr(compiled, name)

    class Tensor(metaclass=Constructor):
        """Replaces `pb_utils.Tensor`."""

    return Tensor


class _Exported:
    """An array to be imported by a tensor of the stub, which then frees it."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __dlpack__(self, stream: Any = None) -> Any:
        capsule = self._array.__dlpack__()
        # The stub renames an imported capsule in its own way; numpy's destructor does not know
        # the name, and would log a traceback for every output.
        ctypes.pythonapi.PyCapsule_SetDestructor(ctypes.py_object(capsule), None)
        return capsule

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()


def serialize(strings: Any) -> Any:
    """Return the strings of a BYTES output with their lengths, as an array that the stub can read.

    The array has one item per byte, and its dtype has 1 as item size and as flags. The dtype is its
    own, so that no other array gets these flags.
    """
    if strings.size == 0:
        return ()
    parts = []
    for element in strings.ravel():
        text = element if isinstance(element, bytes) else str(element).encode("utf-8")
        parts.append(struct.pack("<I", len(text)))
        parts.append(text)
    dtype = np.dtype((np.void, 1), metadata={"of": "one string tensor"})
    array = np.frombuffer(b"".join(parts), dtype=dtype)
    address = id(array.dtype)
    known = (
        ctypes.c_int64.from_address(address + ITEM_SIZE_OFFSET).value == array.dtype.itemsize
        and ctypes.c_uint64.from_address(address + FLAGS_OFFSET).value == array.dtype.flags
    )
    if not known or array.dtype is np.dtype((np.void, 1)):
        raise RuntimeError(
            f"string outputs do not work with numpy {np.__version__} on this Triton; use an"
            " environment with numpy older than 2"
        )
    ctypes.c_uint32.from_address(address + FLAGS_OFFSET).value = 1
    return array
