"""The answer to a request as text and as JSON, with the best classes where it has scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from cloche.cli import rendering
from cloche.errors import ClocheError
from cloche.model_config.names import LABELS_FILE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cloche.artifacts import ModelRepository

_TOP = 5
_HEADERS = {"index": "CLASS", "label": "LABEL", "score": "SCORE"}


@dataclass(frozen=True, slots=True)
class Classes:
    """What is known of the classes that a model's scores are of."""

    labels: tuple[str, ...]
    """Their names; empty if the model has none."""
    shown: bool
    """Whether an output of scores is shown as its best classes."""

    def best(self, array: NDArray[Any]) -> list[list[dict[str, Any]]] | None:
        """Return the best classes of each row of scores; None for an output that is none."""
        if array.dtype.kind != "f" or array.ndim != 2 or array.shape[1] < 2:
            return None
        if self.labels and len(self.labels) != array.shape[1]:
            return None
        order = (-array).argsort(axis=1, kind="stable")[:, :_TOP]
        return [
            [self._class(int(index), float(row[index])) for index in indices]
            for row, indices in zip(array, order, strict=True)
        ]

    def _class(self, index: int, score: float) -> dict[str, Any]:
        name = {"label": self.labels[index]} if self.labels else {}
        return {"index": index, **name, "score": score}


def classes(repository: ModelRepository, *, of_image: bool) -> Classes:
    """Return what is known of a service's classes; an image is asked for its class."""
    path = f"{repository.main.name}/{LABELS_FILE}"
    digest = next((file.digest for file in repository.files if file.path == path), None)
    if digest is None:
        return Classes((), shown=of_image)
    from cloche import composition, settings

    try:
        text = composition.store(settings.load()).read(digest).decode()
    except ClocheError:  # the store of another home, or one that was cleaned
        return Classes((), shown=of_image)
    return Classes(tuple(text.splitlines()), shown=True)


@dataclass(frozen=True, slots=True)
class Shown:
    """One answer of a service: the datatype and the values of each output."""

    outputs: dict[str, tuple[str, Any]]
    service: str
    revision: str
    took: float
    """Milliseconds."""

    def as_json(self, known: Classes) -> None:
        """Print it as JSON, values flat as in the protocol."""
        outputs = []
        for name, (datatype, array) in self.outputs.items():
            described = {"name": name, "datatype": datatype, "shape": list(array.shape)}
            best = known.best(array) if known.shown else None
            more = {"classes": best} if best is not None else {}
            outputs.append({**described, "data": _flat_values(array), **more})
        rendering.show_json(
            {
                "service": self.service,
                "revision": int(self.revision) if self.revision.isdecimal() else None,
                "duration_ms": round(self.took, 3),
                "outputs": outputs,
            }
        )

    def as_text(self, known: Classes) -> None:
        """Print the outputs, scores as their best classes."""
        for name, (datatype, array) in self.outputs.items():
            click.echo(f"{name} {datatype} {list(array.shape)}")
            best = known.best(array) if known.shown else None
            click.echo(_text(array) if best is None else _classes_text(best))


def _classes_text(rows: list[list[dict[str, Any]]]) -> str:
    tables = []
    for row in rows:
        keys = [key for key in ("index", "label", "score") if key in row[0]]
        cells = [[_cell(each[key]) for key in keys] for each in row]
        tables.append(rendering.table([_HEADERS[key] for key in keys], cells))
    return "\n".join(tables)


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _flat_values(array: Any) -> list[Any]:
    """Return the values flat, as in the protocol's JSON; bytes as text."""
    if array.dtype.kind == "O":
        return [_readable(item) for item in array.ravel()]
    values: list[Any] = array.ravel().tolist()
    return values


def _readable(item: Any) -> Any:
    """Return bytes as text; a missing value, and what else has gaps, as it is."""
    return item.decode(errors="replace") if isinstance(item, bytes) else item


def _text(array: Any) -> str:
    import numpy as np

    if array.dtype.kind == "O":
        texts = np.array([_readable(item) for item in array.ravel()], dtype=object)
        array = texts.reshape(array.shape)
    return np.array2string(array, threshold=200, max_line_width=100, separator=", ")
