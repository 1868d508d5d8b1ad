"""Answers the requests of a job with a model, in the process that runs the model.

The folder of a job holds the requests as protocol bodies and `job.json`:

    requests   [file, header length, origin, rows] each, in the order in which they are tried;
               `rows` is the size of the batch axis, 0 if requests are not joined
    first      index of the first to try: earlier ones ended an earlier process
    outputs    the declared outputs: name → shape, -1 for any size
    repeat     how often to answer the same request again; 0 to try requests

Trying, `begun` names the request under way, and `result-INDEX.json` says what came of it: `answer`
(header length of the file `answer-INDEX`) with `fits` and `values`, or `error`. It ends with the
first answer that fits the declared shapes and has finite values only.
Where rows are joined, `alone-INDEX` has the answers to each row alone,
and `permuted-INDEX` the answer to the rows in reverse order, put back in order.

Repeating, `answer-0` … are the answers to the first request, the last of them with each float moved
to its neighbour. Syntax for Python 3.8.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import exchange  # type: ignore[import-not-found]
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Arrays = dict[str, Array]

FINITE, PARTLY, POOR = 2, 1, 0
"""The values of an answer: finite ones only; some in each output; an output without any."""

MISSING = ".missing"
LENGTHS = ".lengths"
_OF_THE_MODEL = (
    ImportError, AttributeError, NameError, NotImplementedError, OSError, SyntaxError, SystemError,
)  # fmt: skip
"""Errors that no other request could avoid."""


class Framework:
    """How a framework is called; the base is that of named arrays."""

    def loaded(self) -> dict[str, Any]:
        """Return `inputs` and `outputs` as the framework loaded them; empty if it does not say.

        Each is a list of `name`, `datatype` and `shape`, -1 for an axis of any size.
        """
        return {}

    def argument(self, origin: str, arrays: Arrays, parameters: dict[str, Any]) -> Any:  # noqa: ARG002
        """Return what the model is called with for a request of an origin."""
        return arrays

    def rows_of(self, argument: Any) -> int:
        """Return the number of rows of an argument."""
        return len(next(iter(argument.values())))

    def run(self, argument: Any) -> Arrays:
        """Return the model's answer by name; raises whatever the model raises."""
        raise NotImplementedError

    def take(self, argument: Any, rows: list[int]) -> Any:
        """Return some rows of an argument."""
        return {name: array[rows] for name, array in argument.items()}

    def nudge(self, argument: Any) -> Any:
        """Return an argument with each float moved to its next neighbour."""
        return {name: neighbour(array) for name, array in argument.items()}


def neighbour(array: Array) -> Array:
    """Return an array with each float replaced by the next larger one."""
    if array.dtype.kind != "f":
        return array
    moved: Array = np.nextafter(array, np.array(np.inf, array.dtype))
    return moved


def work(folder: Path, framework: Framework) -> None:
    """Do the job in a folder."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    _put(folder / "loaded.json", framework.loaded())
    if job["repeat"]:
        _repeat(folder, job, framework)
    else:
        _try(folder, job, framework)
    _put(folder / "done.json", {})


def _try(folder: Path, job: dict[str, Any], framework: Framework) -> None:
    for index in range(job["first"], len(job["requests"])):
        _put(folder / "begun.json", index)
        result = _attempt(folder, job, framework, index)
        _put(folder / f"result-{index}.json", result)
        if result.get("fits") and result["values"] == FINITE:
            return


def _repeat(folder: Path, job: dict[str, Any], framework: Framework) -> None:
    argument = _argument(folder, job, framework, 0)
    for turn in range(job["repeat"]):
        last = turn == job["repeat"] - 1
        outputs = framework.run(framework.nudge(argument) if last else argument)
        _put(folder / f"result-{turn}.json", {"answer": write(folder / f"answer-{turn}", outputs)})
        if not last:
            argument = _argument(folder, job, framework, 0)  # some models write to their inputs


def _attempt(folder: Path, job: dict[str, Any], framework: Framework, index: int) -> dict[str, Any]:
    try:
        outputs = framework.run(_argument(folder, job, framework, index))
    except Exception as error:  # noqa: BLE001 - whatever a model raises is the outcome
        return {"error": f"{type(error).__name__}: {error}"[:2000], "kind": kind_of(error)}
    result: dict[str, Any] = {
        "answer": write(folder / f"answer-{index}", outputs),
        "fits": all(
            _fits(array.shape, job["outputs"].get(name, [])) for name, array in outputs.items()
        ),
        "values": _values(outputs),
    }
    if job["requests"][index][3]:
        try:
            result.update(_joined(folder, job, framework, index))
        except Exception as error:  # noqa: BLE001 - it shows that rows are not independent
            result["rows_error"] = f"{type(error).__name__}: {error}"[:2000]
    return result


def _argument(folder: Path, job: dict[str, Any], framework: Framework, index: int) -> Any:
    name, header_length, origin, rows = job["requests"][index]
    body = (folder / name).read_bytes()
    arrays = exchange.decode(body, header_length, "inputs")
    argument = framework.argument(origin, arrays, exchange.parameters_of(body, header_length))
    if not rows:
        return argument
    own = framework.rows_of(argument)  # a framework reads its own example, of any number of rows
    return argument if own == rows else framework.take(argument, [i % own for i in range(rows)])


def kind_of(error: Exception) -> str:
    """Return `memory`, `model` (no request could avoid it) or `input`."""
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return "memory"
    module = type(error).__module__
    missing = module.startswith("onnxruntime") and type(error).__name__ == "NotImplemented"
    return "model" if missing or isinstance(error, _OF_THE_MODEL) else "input"


def _joined(folder: Path, job: dict[str, Any], framework: Framework, index: int) -> dict[str, Any]:
    """Write the answers to the rows alone and to the rows reversed."""
    rows = job["requests"][index][3]
    alone = [
        framework.run(framework.take(_argument(folder, job, framework, index), [row]))
        for row in range(rows)
    ]
    order = list(reversed(range(rows)))
    turned = framework.run(framework.take(_argument(folder, job, framework, index), order))
    back = {name: array[::-1] if array.ndim else array for name, array in turned.items()}
    return {
        "alone": write(folder / f"alone-{index}", _concatenated(alone)),
        "permuted": write(folder / f"permuted-{index}", back),
    }


def _concatenated(answers: list[Arrays]) -> Arrays:
    names = {name: None for answer in answers for name in answer}
    return {
        name: np.concatenate(_widened(name, [_part(answer, name) for answer in answers]))
        for name in names
    }


def _widened(name: str, arrays: list[Array]) -> list[Array]:
    """Return arrays that differ in their first axis alone: shorter lists are filled up."""
    arrays = [np.atleast_1d(array) for array in arrays]
    inner = {array.shape[1:] for array in arrays}
    if len(inner) == 1 or len({len(shape) for shape in inner}) > 1:
        return arrays
    size = tuple(max(sizes) for sizes in zip(*inner))  # noqa: B905 - Python 3.8
    filler: Any = -1 if name.endswith(LENGTHS) else b"" if arrays[0].dtype == object else 0
    widened = []
    for array in arrays:
        wide = np.full((len(array), *size), filler, array.dtype)
        wide[tuple(slice(count) for count in array.shape)] = array
        widened.append(wide)
    return widened


def _part(answer: Arrays, name: str) -> Array:
    """Return an output; a mark of missing values is absent where none is missing."""
    base = name[: -len(MISSING)]
    if name not in answer and name.endswith(MISSING) and base in answer:
        return np.zeros(answer[base].shape, bool)
    return answer[name]


def _values(outputs: Arrays) -> int:
    finite = [_finite(array) for array in outputs.values()]
    if not all(some for some, _ in finite):
        return POOR
    return FINITE if all(every for _, every in finite) else PARTLY


def _fits(shape: tuple[int, ...], declared: list[int]) -> bool:
    """Return whether a shape is as declared; one value per row may have an axis of 1 or none."""
    if not declared:
        return True
    found = [size for size in shape if size != 1]
    wanted = [size for size in declared if size != 1]
    while len(wanted) > len(found) and -1 in wanted:
        wanted.remove(-1)  # an open axis may have size 1
    # Before Python 3.10 zip() knows no strict.
    pairs = zip(wanted, found)  # noqa: B905
    return len(found) == len(wanted) and all(size in {-1, actual} for size, actual in pairs)


def _finite(array: Array) -> tuple[bool, bool]:
    """Return whether an output has some usable values, and only such."""
    if not array.size:
        return False, False
    if array.dtype.kind not in "fc":
        return True, True
    finite = np.isfinite(array)
    return bool(finite.any()), bool(finite.all())


def write(path: Path, tensors: Arrays) -> int:
    """Write an answer; return the length of its header."""
    body, header_length = exchange.encode(tensors, "outputs")
    path.write_bytes(body)
    length: int = header_length
    return length


def _put(path: Path, value: Any) -> None:
    """Write JSON whole: the process may be ended at any moment."""
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(value), encoding="utf-8")
    temporary.replace(path)
