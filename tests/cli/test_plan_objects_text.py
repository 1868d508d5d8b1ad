"""How a plan shows the objects of a cluster."""

from __future__ import annotations

import pytest

from cloche.artifacts import FieldChange, ObjectAction, ObjectChange
from cloche.cli import plan_objects

NEW = ObjectChange(
    ObjectAction.CREATE, "Deployment", "a-r2", (FieldChange("spec.replicas", None, 2),), 2
)
MOVED = ObjectChange(
    ObjectAction.UPDATE, "Service", "a",
    (FieldChange("spec.selector.revision", "1", "2", "someone"), FieldChange("x", True, None)),
)  # fmt: skip
GONE = ObjectChange(ObjectAction.DELETE, "HTTPRoute", "a")
THEIRS = ObjectChange(ObjectAction.DRIFT, "Service", "a-r1", (FieldChange("y", 1, 2, "edit"),), 1)
UNASKED = ObjectChange(ObjectAction.CREATE, "Service", "a-r2", unasked="ann may not patch.")


@pytest.mark.parametrize(
    ("objects", "why", "lines"),
    [
        ([], False, []),
        ([NEW], False, ["Objects in the cluster:", "  + Deployment a-r2"]),
        ([NEW], True, ["Objects in the cluster:", "  + Deployment a-r2", "      spec.replicas: 2"]),
        ([MOVED, GONE], False, [
            "Objects in the cluster:",
            "  ~ Service a",
            "      spec.selector.revision: 1 → 2  (set by someone)",
            "      x: true → removed",
            "  - HTTPRoute a",
        ]),
        ([THEIRS], False, [
            "Others changed these since they were applied; they stay so:",
            "  ! Service a-r1",
            "      y: 1 → 2  (set by edit)",
        ]),
        ([UNASKED, UNASKED], False, [
            "Objects in the cluster:",
            *["  + Service a-r2  (client-side)"] * 2,
            "A client-side plan, not confirmed by the cluster: ann may not patch.",
        ]),
    ],
)  # fmt: skip
def test_objects_as_text(
    objects: list[ObjectChange], why: bool, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    plan_objects.show(objects, why=why)
    assert capsys.readouterr().out.splitlines() == lines
