"""`cloche deploy` and `cloche plan` of another model under a name that nobody wrote."""

from __future__ import annotations

import io
import itertools
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from cloche.cli import deploy
from fixtures.local import until

NUMBERS = itertools.count()


class Terminal(io.StringIO):
    """What a person types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control plane of these tests runs no server, so that none has to be installed."""
    monkeypatch.setattr("cloche.pipeline.provision", lambda *_, **__: None)
    assert deploy


@pytest.fixture
def two(tmp_path: Path) -> tuple[str, str, str]:
    """Two files of two folders with the same name, and the service that both would get."""
    name = f"asked-{next(NUMBERS)}"
    for folder, operator in (("one", "Neg"), ("two", "Abs")):
        tensors = [
            [helper.make_tensor_value_info(each, TensorProto.FLOAT, ["n", 2])] for each in "xy"
        ]
        graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "m", *tensors)
        opsets = [helper.make_opsetid("", 17)]
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / f"{name}.onnx"
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return name, str(tmp_path / "one" / f"{name}.onnx"), str(tmp_path / "two" / f"{name}.onnx")


def live(control, name, revision):
    until(lambda: control.service(name)["live"] == revision)


def test_without_a_terminal_the_option_is_named(run, control, two):
    name, one, other = two
    assert run("deploy", one).code == 0
    live(control, name, 1)
    refused = run("deploy", other)
    assert refused.code == 1
    assert f"error[deploy.confirm]: {name} serves {one}. {other} is another model" in refused.err
    assert "add --replace" in refused.err
    assert run("deploy", other, "--json").json["error"]["code"] == "deploy.confirm"
    assert [rollout["to"] for rollout in control.history(name)["rollouts"]] == [1]

    planned = run("plan", other)
    assert planned.code == 0
    assert "`cloche deploy` needs --replace." in planned.out
    (question,) = run("plan", other, "--json").json["questions"]
    assert (question["consent"], question["flag"]) == ("replace", "--replace")
    assert run("plan", one, "--json").json["questions"] == []

    assert run("deploy", other, "--replace").code == 0
    live(control, name, 2)
    assert run("history", name, "--json").json["rollouts"][0]["accepted"] == ["replace"]


def test_a_written_name_is_the_yes(run, control, two):
    name, one, other = two
    assert run("deploy", one).code == 0
    assert run("deploy", other, "--name", name).code == 0
    Path("cloche.yaml").write_text(f"model: {one}\nname: {name}\n")
    assert run("deploy").code == 0
    assert control.history(name)["rollouts"][0]["to"] == 3


def test_a_terminal_asks_and_takes_nothing_for_a_no(run, control, two, monkeypatch):
    name, one, other = two
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    assert run("deploy", one).code == 0, "there is nothing to ask"
    monkeypatch.setattr(sys, "stdin", Terminal("\n"))
    refused = run("deploy", other)
    assert (refused.code, "deploy.confirm" in refused.err) == (1, True)
    assert refused.err.count("Go on? [y/N]") == 1
    assert [rollout["to"] for rollout in control.history(name)["rollouts"]] == [1]
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert run("deploy", other).code == 0
    live(control, name, 2)
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    assert run("deploy", one, "--replace").code == 0, "nothing is asked that was said"
