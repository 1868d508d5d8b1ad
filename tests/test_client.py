"""The Python client over a control plane that is given to it: no process, no server, no home."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import cloche
from cloche import testing
from cloche.control import Engine
from cloche.home import HomeLayout
from cloche.targets.local import home_lock


@pytest.fixture
def engine() -> Iterator[Engine]:
    with testing.running() as engine:
        yield engine


@pytest.fixture
def client(engine: Engine, tmp_path: Path) -> Iterator[cloche.Client]:
    with cloche.Client(tmp_path / "home", control=engine) as client:
        yield client
    assert engine.status()["gateway"]["ready"], "who was given a control plane does not end it"


def model(path: Path, operator: str) -> Path:
    tensors = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2])] for name in "xy"
    ]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "m", *tensors)
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def test_a_deploy_prepares_the_model_and_hands_it_to_the_control_plane(client, tmp_path):
    first = client.deploy(model(tmp_path / "digits.onnx", "Neg"))
    assert (first.service, first.change, first.revision.phase) == ("digits", "revision", "live")
    assert first.revision.deployment.main.facts.backend == "onnxruntime"
    assert client.deploy(tmp_path / "digits.onnx").change == "none"
    made = {path.name for path in (tmp_path / "home").iterdir()}
    assert not made & {"servers", "environments", "state.db", "control.json"}, made


def test_another_model_of_the_same_name_needs_a_yes(client, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    client.deploy(model(tmp_path / "one" / "digits.onnx", "Neg"))
    other = model(tmp_path / "two" / "digits.onnx", "Abs")
    with pytest.raises(cloche.ConflictError) as caught:
        client.deploy(other)
    assert caught.value.code == "deploy.confirm"
    assert client.status("digits")["live"] == 1
    assert client.deploy(other, replace=True).revision.number == 2
    assert client.deploy(tmp_path / "one" / "digits.onnx", name="digits").revision.number == 3


def test_every_call_but_down_asks_the_control_plane(client, tmp_path):
    client.deploy(model(tmp_path / "digits.onnx", "Neg"))
    client.deploy(model(tmp_path / "digits.onnx", "Abs"))
    assert client.status("digits")["live"] == 2
    back = client.rollback("digits")
    assert (back.revision.number, back.revision.phase) == (1, "live")
    assert [one.phase for one in client.history("digits")] == ["live", "retired"]
    assert client.scale("digits", 2)["replicas"]["wanted"] == 2
    assert client.verify("digits", revision=1).passed
    client.delete("digits")
    assert client.status()["services"] == []
    with pytest.raises(cloche.UsageError) as caught:
        client.down()
    assert caught.value.code == "client.down"


def test_what_the_control_plane_refuses_is_raised(tmp_path):
    engine = testing.engine()
    engine.deploy(testing.deployment("digits"))
    testing.settle(engine)
    client = cloche.Client(tmp_path / "home", control=engine)
    with pytest.raises(cloche.ClocheError) as caught:
        client.rollback("digits")
    assert caught.value.code == "rollback.nothing"
    with pytest.raises(cloche.NotFoundError):
        client.status("letters")


TARGETS = """
model: ./digits.onnx
targets:
  staging: {kind: kubernetes, context: here, namespace: vision, registry: registry.test/vision}
"""


def test_a_target_that_is_nowhere_is_refused_before_anything_is_asked(tmp_path, engine):
    file = tmp_path / "cloche.yaml"
    with pytest.raises(cloche.UsageError, match="says what the target"):
        cloche.Client(tmp_path, target="staging", file=file)
    file.write_text(TARGETS)
    with pytest.raises(cloche.UsageError, match="no target 'prod'") as caught:
        cloche.Client(tmp_path, target="prod", file=file)
    assert "staging" in (caught.value.hint or "")
    with pytest.raises(cloche.UsageError, match="given together"):
        cloche.Client(tmp_path, target="staging", file=file, control=engine)
    alone = {"HOME": str(tmp_path)}
    with cloche.Client(tmp_path, environment=alone, target="staging", file=file) as client:
        with pytest.raises(cloche.UsageError, match="nothing carries on a rollout"):
            client.rollback("digits", wait=False)
        with pytest.raises(cloche.ClocheError, match="no kubeconfig"):
            client.status()


def test_down_waits_for_who_takes_up_what_was_killed(tmp_path, monkeypatch):
    layout = HomeLayout(tmp_path / "home")
    layout.root.mkdir()
    layout.state.touch()
    held = [home_lock.take(layout.target_lock, layout.root)]
    monkeypatch.setattr("cloche.client.home.time.sleep", lambda _: os.close(held.pop()))
    with cloche.Client(layout.root) as client:
        assert client.down()["replicas"] == []
    assert not held
    assert not layout.run.exists()
