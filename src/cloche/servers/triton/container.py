"""Triton in a container: its entrypoint, and what that is told of a service."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.artifacts import DATATYPES, ContainerStart, PythonStub
from cloche.artifacts.container import SHARED_MEMORY
from cloche.environments import interpreters, variables
from cloche.servers.triton import backend_folder
from cloche.servers.triton.process import CLOSED_APIS, HARDENED, STUB_TIMEOUT, completion
from cloche.servers.triton.serving import asks_for_environment

if TYPE_CHECKING:
    from collections.abc import Collection

    from cloche.artifacts import ModelRepository, RepositoryMember, TensorSpec

ROOT = "opt/tritonserver"
"""Where images have the server, from their root."""
PORTS = (8000, 8001, 8002)
"""HTTP, gRPC, metrics."""
_MIB = 2**20
_POOL = 16 * _MIB
"""Bytes of shared memory that a Python model and its messages take beside its tensors."""
_STRING = 64
"""Bytes of a short string with its object."""


def start(
    repository: ModelRepository, tree: Path, python_backends: Collection[str] = ()
) -> ContainerStart:
    """Return how Triton starts on the repository whose files are at `tree`.

    `python_backends` are those that run in Python in this image, as the backend `python` does.
    """
    in_python = {"python", *python_backends}
    needed = sum(
        _shared_memory(member) for member in repository.members if member.backend in in_python
    )
    environment = {
        "CLOCHE_TRITON_OPTIONS": " ".join(completion(tree)),
        SHARED_MEMORY: str(needed) if needed else "",
    }
    return ContainerStart(
        script=_script(),
        environment={name: value for name, value in environment.items() if value},
        ports=PORTS,
        asking=tuple(name for name in repository.models if asks_for_environment(tree / name)),
        stubs={python: stub(python) for python in interpreters.PYTHONS},
    )


def stub(python: str) -> PythonStub:
    """Return the stub of a Python in an image that has those of several."""
    return PythonStub(
        path=f"{ROOT}/stubs/{python}/{backend_folder.STUB}",
        # Triton starts the stub once without the model's environment, to see whether it may.
        libraries=tuple(f"{ROOT}/lib/{name}" for name in backend_folder.library_names(python)),
    )


def _script() -> bytes:
    text = Path(__file__).with_name("entrypoint.sh").read_text(encoding="utf-8")
    options = " ".join((*HARDENED, f"--backend-config={STUB_TIMEOUT}"))
    silence = " ".join(f"{name}={value}" for name, value in variables.TELLS_NOBODY.items())
    for mark, value in (("OPTIONS", options), ("CLOSED_APIS", CLOSED_APIS), ("SILENCE", silence)):
        text = text.replace(f"@{mark}@", value)
    return text.encode()


def _shared_memory(member: RepositoryMember) -> int:
    """Return the least bytes of /dev/shm for a model that runs in Python.

    A batch and its answer lie there while the model works, each twice at worst: as they came, and
    as they are passed on. Axes of any size count as 1.
    """
    tensors = sum(map(_bytes, (*member.inputs, *member.outputs)))
    needed = _POOL + 2 * max(1, member.max_batch_size) * tensors
    return math.ceil(needed / _MIB) * _MIB


def _bytes(tensor: TensorSpec) -> int:
    return math.prod(max(1, size) for size in tensor.shape) * (
        DATATYPES[tensor.datatype].size or _STRING
    )
