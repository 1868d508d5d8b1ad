"""A command that hosts the engine over the home's own parts, with no daemon."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cloche import composition, pipeline, spec
from cloche.artifacts import Standing
from cloche.clients.control import rollout_events
from cloche.control import Engine
from cloche.progress import SilentProgress
from cloche.targets.local.target import LocalTarget
from fixtures.local import LocalHome, until

pytestmark = pytest.mark.timeout(300)


def scaling(path: Path, factor: float) -> Path:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", 2]) for name in "xy"]
    weights = numpy_helper.from_array(np.array([factor], "f4"), "w")
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])], "m", values[:1], values[1:], [weights]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def asked(url: str) -> list[float]:
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}
    body = json.dumps({"inputs": [tensor]}).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=30) as answer:
        output: list[float] = json.load(answer)["outputs"][0]["data"]
        return output


def test_a_command_deploys_and_rolls_back_with_no_daemon(
    local_home: LocalHome, local_target: Callable[..., LocalTarget], tmp_path: Path
) -> None:
    settings = local_home.settings
    composition.installations(settings).install(SilentProgress())
    target = local_target()
    with (
        closing(composition.state(settings)) as state,
        closing(composition.journal(settings)) as journal,
    ):
        target.start(state.services())
        engine = Engine(state, journal, target, composition.verifier(settings), by="me@here")
        with engine.running():

            def seen_through(number: int) -> None:
                revision = rollout_events.see_through(
                    lambda: engine, "scaled", number, progress=SilentProgress(), timeout=120
                )
                assert revision.phase is Standing.LIVE, revision.failure

            for number, factor in ((1, 2.0), (2, 3.0)):
                path = scaling(tmp_path / "scaled.onnx", factor)
                deployment = pipeline.prepare(
                    spec.from_reference(str(path), "scaled"),
                    directory=tmp_path,
                    settings=settings,
                    progress=SilentProgress(),
                )
                assert engine.deploy(deployment) == {"change": "revision", "revision": number}
                seen_through(number)
            url = engine.service("scaled")["http"]
            assert asked(url) == [3.0, 6.0]
            path.unlink()
            assert engine.rollback("scaled")["revision"] == 1
            seen_through(1)
            until(lambda: asked(url) == [2.0, 4.0])
            until(lambda: len(target.observe("scaled").replicas) == 1)
    assert asked(url) == [2.0, 4.0], "what runs goes on when the command has ended"
