"""The arrays in joblib's files: their bytes stand between the opcodes.

joblib pickles a `NumpyArrayWrapper` for each array. Where its state is set (BUILD), joblib's
unpickler reads the array from the file: first a byte with the length of a padding, and the padding,
then `product(shape) * itemsize` bytes; an array of objects is a pickle of its own instead
(joblib.numpy_pickle, `NumpyArrayWrapper.write_array`).
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from cloche.pickles.streams import Unresolved
from cloche.pickles.values import OTHER, Global, Instance, is_call_of

if TYPE_CHECKING:
    from cloche.pickles.streams import Stream
    from cloche.pickles.values import Value

WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"
_FIELDS = frozenset({
    "subclass", "shape", "order", "dtype", "allow_mmap", "numpy_array_alignment_bytes",
})  # fmt: skip
_DTYPE = re.compile(r"([biufcmMSUVO])(\d+)")
_HAS_OBJECTS = 1
"""The flag NPY_ITEM_REFCOUNT of a numpy dtype."""
_DEEPEST_DTYPE = 8
_LARGEST = 2**63


def wrapper_of(target: Value) -> Instance | None:
    """Return the wrapper whose array follows after BUILD, or None for any other object.

    Raises Unresolved for an object that might be a wrapper in disguise: what an unpickler reads
    next would not be known.
    """
    if isinstance(target, Instance) and _is_fresh(target):
        return target
    if target is not OTHER and _may_be_a_wrapper(target):
        raise Unresolved("It sets the state of an object that may be an array of joblib.")
    return None


def pass_over(stream: Stream, wrapper: Instance) -> bool:
    """Pass over the bytes of an array; return False for one of objects, whose pickle follows.

    Raises Unresolved where its size is not known, Malformed where fewer bytes are left.
    """
    state = wrapper.state
    if not isinstance(state, dict) or not state.keys() <= _FIELDS or wrapper.built != 1:
        raise Unresolved("The state of an array of joblib is not readable.")
    itemsize, objects = _size_of(state.get("dtype"), _DEEPEST_DTYPE)
    if objects:
        return False
    # The class has no default for it: files of old versions have neither this nor a padding.
    alignment = state.get("numpy_array_alignment_bytes")
    if not isinstance(alignment, int | None):
        raise Unresolved("The padding of an array of joblib is not readable.")
    if alignment is not None:
        stream.skip(stream.exactly(1)[0])
    stream.skip(_count(state.get("shape")) * itemsize)
    return True


def _is_fresh(target: Instance) -> bool:
    """Return whether an object is a wrapper that nothing was set on yet, as a pickler makes it."""
    arguments = target.arguments
    if is_call_of(target, WRAPPER):
        return arguments == ()
    return (
        is_call_of(target, "copyreg._reconstructor")
        and isinstance(arguments, tuple)
        and arguments[1:] == (Global("builtins", "object"), None)
        and _is_wrapper_class(arguments[0])
    )


def _may_be_a_wrapper(target: Value) -> bool:
    if not isinstance(target, Instance) or not isinstance(target.of, Global):
        return True
    return _is_wrapper_class(target.of) or _mentions(target)


def _is_wrapper_class(value: Value) -> bool:
    return isinstance(value, Global) and str(value) == WRAPPER


def _mentions(target: Instance, depth: int = 2) -> bool:
    """Return whether a call was given the wrapper's class or one of its objects."""
    arguments = target.arguments
    if not isinstance(arguments, tuple):
        return True
    for argument in arguments:
        if _is_wrapper_class(argument) or is_call_of(argument, WRAPPER):
            return True
        inner = Instance(None, argument) if isinstance(argument, tuple) else argument
        if isinstance(inner, Instance) and (depth == 0 or _mentions(inner, depth - 1)):
            return True
    return False


def _count(shape: Value) -> int:
    if not isinstance(shape, tuple):
        raise Unresolved("The shape of an array of joblib is not readable.")
    sizes = [size for size in shape if isinstance(size, int) and size >= 0]
    count = math.prod(sizes)
    # numpy multiplies in 64 bits, and what does not fit becomes another number.
    if len(sizes) < len(shape) or count >= _LARGEST:
        raise Unresolved("The shape of an array of joblib is not readable.")
    return count


def _size_of(dtype: Value, depth: int) -> tuple[int, bool]:
    """Return the bytes of an element, and whether elements are Python objects."""
    if not is_call_of(dtype, "numpy.dtype") or not isinstance(dtype, Instance) or depth == 0:
        raise Unresolved("The type of an array of joblib is not readable.")
    match dtype.arguments:
        case (str(code), *_) if found := _DTYPE.fullmatch(code):
            kind, size = found[1], int(found[2]) * (4 if found[1] == "U" else 1)
        case _:
            raise Unresolved("The type of an array of joblib is not readable.")
    objects = kind == "O"
    match dtype.state:
        case None:
            return size, objects
        # Version, byte order, base, names, fields, size, alignment, flags.
        case (3 | 4, _, _, _, fields, int(given), _, int(flags), *_) if dtype.built == 1:
            objects = objects or _fields_have_objects(fields, depth)
            sized = kind not in "SUV" or given == size
            if sized and objects == bool(flags & _HAS_OBJECTS):
                return size, objects
    raise Unresolved("The type of an array of joblib contradicts itself.")


def _fields_have_objects(fields: Value, depth: int) -> bool:
    if fields is None:
        return False
    if not isinstance(fields, dict):
        raise Unresolved("The type of an array of joblib is not readable.")
    parts = [part[0] if isinstance(part, tuple) and part else part for part in fields.values()]
    # All are read: a part that is not readable is not known to be plain.
    return True in [_size_of(part, depth - 1)[1] for part in parts]
