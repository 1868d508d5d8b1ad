"""What a deploy would change, told from what is recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cloche import plan
from cloche.artifacts import Deployment, Phase, Revision
from cloche.plan import ChangeKind
from fixtures_control import deployment


def recorded(made: Deployment) -> Revision:
    return Revision("digits", 1, made.digest, made, "2026", Phase.LIVE, "2026")


@pytest.mark.parametrize(
    ("asked", "operated", "kind", "fields"),
    [
        ({}, {}, ChangeKind.NONE, []),
        ({}, {"replicas": 3}, ChangeKind.NONE, []),
        ({"replicas": 3}, {"replicas": 3}, ChangeKind.NONE, []),
        ({"replicas": 1}, {}, ChangeKind.NONE, []),
        ({"replicas": 2}, {}, ChangeKind.SCALE, [("replicas", 1, 2)]),
        ({"replicas": 1}, {"replicas": 3}, ChangeKind.SCALE, [("replicas", 3, 1)]),
    ],
)
def test_replicas_are_as_asked_or_as_they_were(
    asked: dict[str, Any], operated: dict[str, Any], kind: ChangeKind, fields: list[Any]
) -> None:
    made = replace(deployment(), operated=asked)
    found = plan.make(made, recorded(made), operated)
    assert found.kind is kind
    assert [(one.field, one.before, one.after) for one in found.changes] == fields


def test_a_new_service_shows_all_that_it_will_be() -> None:
    found = plan.make(replace(deployment(), operated={}), None)
    assert found.kind is ChangeKind.CREATE
    values = {one.field: one.after for one in found.changes}
    assert (values["model"], values["replicas"]) == ("/models/a.onnx", 1)
    assert all(one.before is None for one in found.changes)


def test_another_model_is_an_update_and_its_replicas_come_along() -> None:
    made = deployment(model="b", replicas=2)
    found = plan.make(made, recorded(deployment(model="a")), {"replicas": 1})
    assert found.kind is ChangeKind.UPDATE
    fields = {one.field for one in found.changes}
    assert {"model", "model.digest", "repository.digest", "replicas"} <= fields
    assert "instances" not in fields


def test_the_same_bytes_from_another_place_change_nothing() -> None:
    made = deployment()
    moved = replace(made, snapshot=replace(made.snapshot, pinned="/elsewhere/a.onnx"))
    assert plan.make(moved, recorded(made), {"replicas": 1}).kind is ChangeKind.NONE
