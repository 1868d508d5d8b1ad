"""A small model on real Triton behind the real gateway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from running_gateway import doubling

from fixtures.triton import TritonStarter
from gateway_fuzz.watching import Watched

DOUBLING = """
import triton_python_backend_utils as utils


class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            x = utils.get_input_tensor_by_name(request, "x").as_numpy()
            answers.append(utils.InferenceResponse([utils.Tensor("y", x * 2)]))
        return answers
"""
"""Unlike the model of other tests it never waits, whatever it is asked."""


@contextmanager
def serving(starter: TritonStarter, folder: Path) -> Iterator[tuple[str, list[Watched]]]:
    """Yield the gateway's address, where `double` answers, and the processes to be watched."""
    with doubling(starter, folder, DOUBLING) as (triton, gateway):
        server = psutil.Process(triton.process.pid)
        (stub,) = server.children()
        envoys = [psutil.Process(process.pid) for process in gateway.processes]
        yield gateway.address, [
            Watched("Triton", server), Watched("stub", stub),
            *(Watched(f"Envoy {number}", envoy) for number, envoy in enumerate(envoys, 1)),
        ]  # fmt: skip
        assert "lua" not in gateway.log()
        triton.kill()  # It keeps some of what was given up, and would wait for it.
