"""The verifier of this machine: how it runs the model itself where an answer differs."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from cloche import settings
from cloche.artifacts import Golden, Judge, Lock, RequestOrigin, Revision
from cloche.store import Store
from cloche.targets.local.verifier import LocalVerifier
from cloche.testing import deployments
from cloche.verification import asked, bodies, noise
from cloche.verification.reference.own import OwnReference
from cloche.verification.reference.scripts import exchange

SCRIPT = f"""
import sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, {str(Path(exchange.__file__).parent)!r})
import job
class Model(job.Framework):
    def argument(self, origin, arrays, parameters):
        return {{"x": arrays["x"] * parameters["factor"]}}
    def run(self, inputs):
        return {{"y": inputs["x"]}}
job.work(Path(sys.argv[1]), Model())
"""


class ScriptReference:
    """Runs SCRIPT for any model."""

    def __init__(self, script: Path) -> None:
        self.script = script

    def model(self, *_: Any) -> asked.Model:
        return asked.Model(
            str(self.script), Path(sys.executable), self.script.parent, {}, (asked.Variant(),)
        )


def test_noise_is_measured_with_the_parameters_of_the_request(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    store = Store(tmp_path / "store", 2**30)
    server = SimpleNamespace(
        check_host=lambda: None,
        install=lambda *_: SimpleNamespace(interpreter=None),
    )
    verifier = LocalVerifier(
        settings.load({"CLOCHE_HOME": str(tmp_path)}),
        store,
        server,
        {"onnxruntime": ScriptReference(script)},
    )
    x = np.array([[1, 2]], np.float32)
    golden = Golden(
        RequestOrigin.GIVEN,
        Judge.REFERENCE,
        (bodies.keep({"x": x}, "inputs", store, {"factor": 3}),),
        bodies.keep({"y": 3 * x}, "outputs", store),
    )
    deployed = deployments.deployment()
    revision = Revision("digits", 1, deployed.digest, deployed, "2026-01-01T00:00:00+00:00")
    assert 0 < verifier._noise(revision, golden, 60)["y"] < 1e-6


def test_without_the_environment_of_a_converted_model_no_noise_is_measured(tmp_path: Path) -> None:
    """What is served runs without it: an answer then has to be within the floors."""
    store = Store(tmp_path / "store", 2**30)
    server = SimpleNamespace(check_host=lambda: None, install=lambda *_: SimpleNamespace(
        interpreter=None
    ))  # fmt: skip
    verifier = LocalVerifier(
        settings.load({"CLOCHE_HOME": str(tmp_path)}),
        store,
        server,
        {"onnxruntime": OwnReference()},
    )
    request = bodies.keep({"x": np.ones((1, 2), np.float32)}, "inputs", store)
    golden = Golden(RequestOrigin.MADE, Judge.REFERENCE, (request,), request)
    made = deployments.deployment()
    lock = Lock("sha256:" + "1" * 64, "3.11", "", of="a" * 64)
    deployed = replace(made, members=(replace(made.main, lock=lock),))
    revision = Revision("digits", 1, deployed.digest, deployed, "2026-01-01T00:00:00+00:00")
    assert verifier._noise(revision, golden, 60) == {}
    assert noise.recall(deployed.repository.digest, golden, store) is None
