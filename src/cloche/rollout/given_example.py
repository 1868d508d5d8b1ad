"""The example that a spec names: a file with a request, checked and kept for the golden request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import InferenceBody, ModelFormat, digest_of
from cloche.errors import ClocheError, ErrorGroup, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelRepository
    from cloche.store import Store

_LARGEST = 64 * 2**20


def digest_of_file(path: Path) -> str:
    """Return the digest of an example's bytes; raises UsageError `spec.example` where it has none.

    The file is read here and again by `keep`: it is small, and most deploys need its digest only.
    """
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            raise _unusable(path, f"It has {size:,} bytes, more than {_LARGEST:,}.")
        return digest_of(path.read_bytes())
    except OSError as error:
        raise _unusable(path, f"The file cannot be read: {error.strerror}.") from None


def keep(path: Path, facts: ModelFacts, repository: ModelRepository, store: Store) -> InferenceBody:
    """Read an example as the model's own inputs, and keep it in the store.

    Raises UsageError or ErrorGroup `spec.example` with all that does not fit the model.
    """
    from cloche.clients import request_file
    from cloche.clients.inputs import Declared
    from cloche.rollout.reference import exchange

    # The axes of a finished repository are known from its configuration alone.
    finished = facts.format is ModelFormat.TRITON
    inputs = repository.inputs if finished else facts.inputs
    try:
        tensors = request_file.tensors(str(path), Declared(inputs, repository.max_batch_size))
    except ErrorGroup as group:
        for error in group.errors:
            error.where = error.where or str(path)
        what = "The example does not fit the model."
        raise ErrorGroup("spec.example", what, group.errors) from None
    except ClocheError as error:
        raise _unusable(path, error.what, error.where, error.hint) from None
    arrays = {name: tensor.array for name, tensor in tensors.items()}
    body, header_length = exchange.encode(arrays, "inputs")
    return InferenceBody(store.add_bytes(body), header_length)


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
