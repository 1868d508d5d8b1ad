"""What running a model told one machine, known to another from the cloche.lock beside its spec."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.command_line import User, a_user
from fixtures.saved_models import Saved, give_locks

pytestmark = pytest.mark.timeout(900)
HERE = "model"  # the change that names where the model lies on this machine


@pytest.fixture(scope="module")
def first(pytorch: Saved) -> Iterator[User]:
    """Whoever writes the lock file."""
    with a_user() as one:
        give_locks(one.home)
        yield one


@pytest.fixture
def second() -> Iterator[User]:
    """Somebody with an empty home on another machine."""
    with a_user() as one:
        yield one


def written(user: User, model: Path, content: dict[str, object]) -> Path:
    shutil.copy(model, user.folder)
    spec = user.folder / "cloche.yaml"
    spec.write_text(json.dumps({**content, "name": "net", "model": f"./{model.name}"}))
    return spec


def plan_of(user: User, *more: str) -> dict[str, Any]:
    plan: dict[str, Any] = user.run("plan", *more, "--json").expect(0).json
    return {**plan, "changes": [each for each in plan["changes"] if each["field"] != HERE]}


def indexed(user: User) -> set[str]:
    return {path.name for path in (user.home / "store" / "index").iterdir()}


def test_a_second_machine_knows_a_conversion_and_makes_the_same(
    first: User, second: User, pytorch: Saved
) -> None:
    model = pytorch.folder / "digits.pt"
    for user in (first, second):
        written(user, model, pytorch.spec("digits.pt"))
    known = plan_of(first, "--lock")
    assert "conversion.done" in {finding["code"] for finding in known["findings"]}
    shutil.copy(first.folder / "cloche.lock", second.folder)
    assert plan_of(second) == known
    inspected = second.run("inspect", "--json").expect(0).json["facts"]
    assert inspected["backend"] == "onnxruntime"
    assert "conversion.done" in {finding["code"] for finding in inspected["findings"]}
    assert not {"conversion", "prepared"} & indexed(second)
    done = second.run("deploy", "--json").expect(0)
    assert "Resolving" not in done.err
    assert "conversion" in indexed(second)
    assert done.json["verification"]["passed"]
    assert second.run("plan", "--json").expect(0).json["kind"] == "none"


def test_what_is_not_converted_is_not_tried_again(
    first: User, second: User, pytorch: Saved
) -> None:
    model = pytorch.folder / "digits.pt"
    for user in (first, second):
        written(user, model, pytorch.spec("digits.pt", conversion="off"))
    known = plan_of(first, "--lock")
    text = (first.folder / "cloche.lock").read_text()
    assert str(first.folder) not in text
    shutil.copy(first.folder / "cloche.lock", second.folder)
    assert plan_of(second) == known
    done = second.run("deploy", "--json").expect(0)
    assert "conversion" not in indexed(second), "it was not loaded to find out its interface"
    assert done.json["verification"]["judge"] == "reference"


def test_a_conversion_that_comes_out_otherwise_is_told(
    first: User, second: User, pytorch: Saved
) -> None:
    for user in (first, second):
        written(user, pytorch.folder / "digits.pt", pytorch.spec("digits.pt"))
    plan_of(first, "--lock")
    lock = json.loads((first.folder / "cloche.lock").read_text())
    (entry,) = lock["services"]["net"].values()
    entry["deployment"]["members"][0]["conversion"]["digest"] = "sha256:" + "0" * 64
    entry["deployment"]["repository"]["digest"] = "sha256:" + "1" * 64
    (second.folder / "cloche.lock").write_text(json.dumps(lock))
    second.run("deploy", "--json").expect(0)
    plan = plan_of(second)
    assert plan["kind"] == "none"
    assert "lock.differs" in {finding["code"] for finding in plan["findings"]}
