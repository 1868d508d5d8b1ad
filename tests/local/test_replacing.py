"""A new revision in the room of the live one, on real servers: with an outage, or bit by bit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from fixtures.command_line import User, a_user, finished, scaled_maximum
from fixtures.load import Load
from fixtures.local import until

NAME = "tight"


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with a_user() as made:
        yield made


def declare(user: User, factor: float, *, replicas: int, capacity: str) -> None:
    path = scaled_maximum(user.folder / f"{NAME}.onnx", factor)
    text = {
        "name": NAME, "model": str(path), "replicas": replicas, "rollout": {"capacity": capacity},
    }  # fmt: skip
    (user.folder / "cloche.yaml").write_text(json.dumps(text))


def deploy(user: User, code: int = 0) -> Any:
    return user.run("deploy", "--json").expect(code).json


def revisions(user: User) -> list[int]:
    return [each["revision"] for each in user.service(NAME)["replicas"]["items"]]


def test_bit_by_bit_nothing_is_lost(user: User) -> None:
    declare(user, 1, replicas=3, capacity="partial")
    deploy(user)
    until(lambda: len(revisions(user)) == 3, 60)
    with Load(user.address, NAME) as load:
        declare(user, 2, replicas=3, capacity="partial")
        assert deploy(user)["revision"] == 2
        load.more()
    assert load.failures == []
    assert {value for value, _ in load.answers} == {1, 2}
    assert load.answers[-1][0] == 2
    lines = user.run("events", NAME, "--json").expect(0).out.splitlines()
    told = [json.loads(line)["detail"] for line in lines]
    assert [each["weight"] for each in told if "weight" in each] == [67, 100]
    until(lambda: revisions(user) == [2, 2, 2], 60)
    user.run("delete", NAME, "--yes").expect(0)


def test_one_after_the_other(user: User) -> None:
    declare(user, 1, replicas=1, capacity="recreate")
    deploy(user)
    declare(user, 2, replicas=1, capacity="recreate")
    planned = user.run("plan", "--json").expect(0).json
    assert "rollout.outage" in {each["code"] for each in planned["findings"]}
    live = deploy(user)["revision"]
    assert revisions(user) == [live]

    bad = finished(user.folder / "bad", NAME, "1 / 0")
    text = {"name": NAME, "model": str(bad), "rollout": {"capacity": "recreate"}}
    (user.folder / "cloche.yaml").write_text(json.dumps(text))
    refused = user.run("deploy", "--json", "--accept-interface", "--accept-weaker").json
    assert "error" in refused
    until(lambda: revisions(user) == [live] and user.service(NAME)["replicas"]["ready"] == 1, 60)
    with Load(user.address, NAME) as load:
        load.more()
    assert load.failures == []
    declare(user, 3, replicas=1, capacity="partial")
    assert deploy(user, code=2)["error"]["code"] == "service.capacity"
    user.run("delete", NAME, "--yes").expect(0)
