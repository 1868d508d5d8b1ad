"""The example that a spec names: a request file, checked and stored for the golden request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.errors import ClocheError, ErrorGroup, UsageError
from cloche.store import copying
from cloche.units import size_text
from cloche.verification import bodies
from cloche.verification.model_example import LARGEST

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import InferenceBody, ModelFacts, ModelRepository
    from cloche.store import Store


def digest_of_file(path: Path) -> str:
    """Return the digest of an example's bytes; raises UsageError `spec.example`.

    `keep` reads the file again: it is small, and most deploys need only its digest.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise _unusable(path, f"It has {size_text(size)}, more than {size_text(LARGEST)}.")
        return copying.digest_of_file(path)
    except OSError as error:
        raise _unusable(path, f"The file cannot be read: {error.strerror}.") from None


@dataclass(frozen=True, slots=True)
class GivenExample:
    """A user's example: the request, and the right answer if the user gave one."""

    request: InferenceBody
    expected: InferenceBody | None = None


def keep(path: Path, facts: ModelFacts, repository: ModelRepository, store: Store) -> GivenExample:
    """Read an example as the model's own inputs and store it.

    A JSON document with values under `outputs` also gives the right answer. Raises UsageError or
    ErrorGroup `spec.example` with everything that does not fit the model.
    """
    from cloche.inputs import given_outputs, request_file
    from cloche.inputs.declared import Declared
    from cloche.inputs.service_requests import request_parameters

    declared = Declared(facts.inputs, repository.main.max_batch_size)
    try:
        tensors, parameters = request_file.request(str(path), declared)
        expected = given_outputs.read(path, repository.main.outputs)
    except ErrorGroup as group:
        placed = [error.with_(where=error.where or str(path)) for error in group.errors]
        raise ErrorGroup("spec.example", "The example does not fit the model.", placed) from None
    except ClocheError as error:
        raise _unusable(path, error.what, error.where, error.hint) from None
    arrays = {name: tensor.array for name, tensor in tensors.items()}
    return GivenExample(
        bodies.keep(arrays, "inputs", store, request_parameters(parameters)),
        bodies.keep(expected, "outputs", store) if expected is not None else None,
    )


def _unusable(
    path: Path, why: str, where: str | None = None, hint: str | None = None
) -> UsageError:
    return UsageError(
        "spec.example",
        f"The example cannot be used. {why}",
        where=where or str(path),
        hint=hint
        or "Write the path of a JSON, .npy, .npz, CSV or image file, as `cloche infer "
        "--input` takes it.",
    )
