"""What a new revision changes for clients that are written for the live one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.artifacts import ModelRepository, TensorSpec


def changes(before: ModelRepository, after: ModelRepository) -> tuple[str, ...]:
    """Return what a client would notice, and another backend, as parts of a sentence.

    What takes more than before, or answers with more outputs, changes nothing for it.
    """
    old, new = before.main, after.main
    found = [
        *_inputs(_by_name(old.inputs), _by_name(new.inputs)),
        *_outputs(_by_name(old.outputs), _by_name(new.outputs)),
    ]
    if old.name != new.name:
        found.append(f"the model is called {new.name} instead of {old.name}")
    if old.backend and old.backend != new.backend:
        found.append(f"the backend is {new.backend} instead of {old.backend}")
    gone = [each.name for each in before.members[1:] if each.name not in after.models]
    found += [f"the model {name} is gone" for name in gone]
    return tuple(found)


def _by_name(specs: tuple[TensorSpec, ...]) -> dict[str, TensorSpec]:
    return {spec.name: spec for spec in specs}


def _inputs(old: dict[str, TensorSpec], new: dict[str, TensorSpec]) -> Iterator[str]:
    for name, spec in old.items():
        if name not in new:
            yield f"the input {name} is gone"
        elif not _takes(new[name], spec):
            yield f"the input {name} is {_text(new[name])} instead of {_text(spec)}"
    for name, spec in new.items():
        if name not in old and not spec.optional:
            yield f"there is a new input {name} {_text(spec)}"


def _takes(new: TensorSpec, old: TensorSpec) -> bool:
    """Return whether an input takes whatever another one took."""
    if new.datatype != old.datatype or len(new.shape) != len(old.shape):
        return False
    if old.optional and not new.optional:
        return False
    return all(n in {-1, o} for n, o in zip(new.shape, old.shape, strict=True))


def _outputs(old: dict[str, TensorSpec], new: dict[str, TensorSpec]) -> Iterator[str]:
    for name, spec in old.items():
        if name not in new:
            yield f"the output {name} is gone"
        elif not _answers(new[name], spec):
            yield f"the output {name} is {_text(new[name])} instead of {_text(spec)}"


def _answers(new: TensorSpec, old: TensorSpec) -> bool:
    """Return whether an output has a form that another one might have had."""
    if new.datatype != old.datatype or len(new.shape) != len(old.shape):
        return False
    return all(o in {-1, n} for n, o in zip(new.shape, old.shape, strict=True))


def _text(spec: TensorSpec) -> str:
    sizes = ", ".join("?" if size < 0 else str(size) for size in spec.shape)
    return f"{spec.datatype} [{sizes}]"
