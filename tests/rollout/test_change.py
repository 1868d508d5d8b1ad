"""What a deploy would change, told from what is recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cloche.artifacts import (
    AFTER_VERIFICATION,
    Cause,
    ChangeKind,
    Deployment,
    Finding,
    Lock,
    Member,
    Operated,
    Origin,
    Outcome,
    Phase,
    Reason,
    ReplicaRange,
    Revision,
    Rollout,
    ServiceRecord,
    Severity,
    Undetermined,
)
from cloche.rollout.change import Recorded, decide_change
from cloche.testing import deployment


def revision(made: Deployment, number: int = 1) -> Revision:
    return Revision("digits", number, made.digest, made, "2026")


def recorded(
    live: Deployment | None = None,
    operated: Operated | None = None,
    *,
    rolling: Deployment | None = None,
    failed: bool = False,
    broken: bool = False,
) -> Recorded:
    """Return a service whose revision 1 is live and whose revision 2 is on its way or failed."""
    rollouts = []
    if live is not None:
        one = Rollout(1, None, Cause.DEPLOY, "", "2026", Phase.ENDED, "2026")
        rollouts.append(replace(one, outcome=Outcome.COMPLETED))
    if rolling is not None:
        rollouts.append(Rollout(2, 1, Cause.DEPLOY, "", "2026", Phase.STARTING, "2026"))
    elif failed:
        one = Rollout(2, 1, Cause.DEPLOY, "", "2026", Phase.ENDED, "2026")
        rollouts.append(replace(one, outcome=Outcome.FAILED))
    record = ServiceRecord(
        "digits", operated or Operated(), 1 if live is not None else None, tuple(rollouts)
    )
    return Recorded(
        record,
        revision(live) if live is not None else None,
        revision(rolling, 2) if rolling is not None else None,
        broken,
    )


def replicas(count: int | None) -> Operated:
    return Operated(replicas=ReplicaRange.exactly(count) if count else None)


@pytest.mark.parametrize(
    ("asked", "operated", "kind", "fields"),
    [
        (None, None, ChangeKind.NONE, []),
        (None, 3, ChangeKind.NONE, []),
        (3, 3, ChangeKind.NONE, []),
        (1, None, ChangeKind.NONE, []),
        (2, None, ChangeKind.SCALE, [("replicas", 1, 2)]),
        (1, 3, ChangeKind.SCALE, [("replicas", 3, 1)]),
    ],
)
def test_replicas_are_as_asked_or_as_they_were(
    asked: int | None, operated: int | None, kind: ChangeKind, fields: list[Any]
) -> None:
    made = deployment(replicas=asked)
    found = decide_change(made, recorded(made, replicas(operated)))
    assert (found.kind, found.revision) == (kind, 1)
    assert [(one.field, one.before, one.after) for one in found.changes] == fields


def test_a_new_service_shows_all_that_it_will_be() -> None:
    found = decide_change(deployment(replicas=None), None)
    assert found.kind is ChangeKind.CREATE
    values = {one.field: one.after for one in found.changes}
    assert (values["model"], values["replicas"]) == ("/models/a.onnx", 1)
    assert all(one.before is None for one in found.changes)


def test_the_template_of_pods_shows_in_what_changes_alone() -> None:
    def made(key: str) -> Deployment:
        container = {"name": "server", "image": "registry.test/a@sha256:0"}
        spec = {"containers": [container], "tolerations": [{"key": key}]}
        return replace(deployment(), image=container["image"], pod={"spec": spec})

    first = decide_change(made("a"), None)
    assert not any(one.field.startswith("pod.") for one in first.changes)
    found = decide_change(made("b"), recorded(made("a"), replicas(1)))
    assert [(one.field, one.before, one.after) for one in found.changes] == [
        ("revision", 1, "new"), ("pod.spec.tolerations.0.key", "a", "b"),
    ]  # fmt: skip
    image = {one.field for one in decide_change(made("a"), recorded(deployment())).changes}
    assert "image" in image
    assert "pod.spec.containers.server.image" not in image


def test_another_model_is_an_update_and_its_replicas_come_along() -> None:
    made = deployment(model="b", replicas=2)
    found = decide_change(made, recorded(deployment(model="a"), replicas(1)))
    assert (found.kind, found.revision) == (ChangeKind.UPDATE, None)
    fields = {one.field for one in found.changes}
    assert {"model", "model.digest", "repository.digest", "replicas"} <= fields
    assert "instances" not in fields


def test_what_only_a_run_tells_is_said_to_be_known_later() -> None:
    reason = Reason("max_batch_size", "8", Origin.DEFAULT, "the first axis is open")
    live = deployment()
    live = replace(live, repository=replace(live.repository, reasons=(reason,)))
    left = (Undetermined.BATCHES, Undetermined.REPOSITORY)
    foreseen = replace(
        live, repository=replace(live.repository, digest="sha256:1"), undetermined=left
    )
    found = decide_change(foreseen, recorded(live))
    assert [(one.field, one.before, one.after) for one in found.changes] == [
        ("revision", 1, "new"),
        ("repository.digest", live.repository.digest, AFTER_VERIFICATION),
        ("config.max_batch_size", "8", AFTER_VERIFICATION),
    ]
    assert (found.undetermined, found.reasons) == (left, ())
    unwritten = replace(foreseen.repository, digest="", reasons=())
    found = decide_change(
        replace(foreseen, repository=unwritten, undetermined=tuple(Undetermined)), recorded(live)
    )
    assert {one.after for one in found.changes[1:]} == {AFTER_VERIFICATION}
    assert not found.questions


def test_a_default_that_changed_is_told_with_its_old_value() -> None:
    def made(digest: str, *reasons: Reason) -> Deployment:
        whole = deployment()
        kept = replace(whole.repository, digest=digest, reasons=reasons)
        return replace(whole, repository=kept)

    asked = Reason("instance_group.count", "1", Origin.SPEC, "asked for")
    before = made(
        "sha256:0", asked,
        Reason("max_batch_size", "4", Origin.DEFAULT, "so it was"),
        Reason("model_warmup", "none", Origin.DEFAULT, "so it was"),
        Reason("backend", "onnxruntime", Origin.MODEL, "the model is ONNX"),
    )  # fmt: skip
    after = made(
        "sha256:1", replace(asked, value="2"),
        Reason("max_batch_size", "64", Origin.MEASURED, "so it is"),
        Reason("optimization.graph.level", "all", Origin.DEFAULT, "new"),
        Reason("model_warmup", "none", Origin.DEFAULT, "so it is"),
        Reason("backend", "python", Origin.MODEL, "another"),
    )  # fmt: skip
    found = decide_change(after, recorded(before, replicas(1)))
    assert [(one.field, one.before, one.after) for one in found.changes[1:]] == [
        ("repository.digest", "sha256:0", "sha256:1"),
        ("config.max_batch_size", "4", "64"),
        ("config.optimization.graph.level", None, "all"),
    ]


def test_the_same_bytes_from_another_place_change_nothing() -> None:
    made = deployment()
    main = made.main
    elsewhere = replace(main.snapshot, pinned="/elsewhere/a.onnx")
    moved = replace(made, members=(Member(main.name, elsewhere, main.facts),))
    assert decide_change(moved, recorded(made, replicas(1))).kind is ChangeKind.NONE


def test_what_failed_is_made_anew_and_what_is_live_is_not() -> None:
    live, failed = deployment(model="a"), deployment(model="b")
    assert decide_change(live, recorded(live, failed=True)).kind is ChangeKind.NONE
    again = decide_change(failed, recorded(live, failed=True))
    assert (again.kind, again.revision) == (ChangeKind.UPDATE, None)
    assert ("model", "/models/a.onnx", "/models/b.onnx") in [
        (one.field, one.before, one.after) for one in again.changes
    ]
    first = decide_change(failed, recorded(failed=True))
    assert (first.kind, first.changes[0].field) == (ChangeKind.UPDATE, "revision")


def test_what_is_live_and_broken_is_made_anew() -> None:
    made = deployment()
    found = decide_change(made, recorded(made, broken=True))
    assert (found.kind, found.revision) == (ChangeKind.UPDATE, None)
    assert [one.field for one in found.changes] == ["revision"]


def test_a_rollout_under_way_is_what_a_deploy_is_compared_with() -> None:
    live, rolling = deployment(model="a"), deployment(model="b")
    same = decide_change(rolling, recorded(live, replicas(1), rolling=rolling))
    assert (same.kind, same.revision) == (ChangeKind.NONE, 2)
    back = decide_change(live, recorded(live, replicas(1), rolling=rolling))
    assert (back.kind, back.revision) == (ChangeKind.UPDATE, 1)
    assert [(one.field, one.before) for one in back.changes] == [("rollout", "revision 2")]
    third = decide_change(deployment(model="c"), recorded(live, replicas(1), rolling=rolling))
    assert ("model", "/models/b.onnx", "/models/c.onnx") in [
        (one.field, one.before, one.after) for one in third.changes
    ]


def test_a_service_that_is_being_deleted_is_created_anew() -> None:
    made = recorded(deployment())
    gone = replace(made, record=replace(made.record, deleting=True))
    assert decide_change(deployment(), gone).kind is ChangeKind.CREATE


def test_a_plan_has_the_environments_with_their_sizes() -> None:
    text = "a==1 \\\n    --hash=sha256:00\nb==2 \\\n    --hash=sha256:00\n"
    made = deployment()
    sized = Lock("sha256:" + "1" * 64, "3.11", text, {"a": 3, "b": 4})
    for lock, download in ((sized, 7), (replace(sized, sizes={}), None)):
        locked = replace(made, members=(replace(made.main, lock=lock),))
        plan = decide_change(locked, None)
        (environment,) = plan.environments
        assert (environment.packages, environment.download) == (2, download)
        assert environment.sizes == lock.sizes
    assert decide_change(made, None).environments == ()


def test_what_another_machine_answered_for_needs_no_environment_of_its_own() -> None:
    made = deployment()
    said = Finding(Severity.WARNING, "environment.cuda_build", "It is large.")
    text = "a==1 \\\n    --hash=sha256:00\n"
    lock = Lock("sha256:" + "1" * 64, "3.11", text, findings=(said,))
    golden = replace(made.golden, answer_from="a.example/x:1") if made.golden else None
    told = replace(made, members=(replace(made.main, lock=lock),), golden=golden)
    plan = decide_change(told, None)
    assert plan.environments == ()
    assert said not in plan.findings
    served = replace(told.repository.main, lock_digest=lock.digest)
    runs_in_it = replace(told, repository=replace(told.repository, members=(served,)))
    assert [each.lock for each in decide_change(runs_in_it, None).environments] == [lock.digest]


def test_a_plan_tells_what_resolving_the_packages_found() -> None:
    said = Finding(Severity.NOTE, "environment.left_out", "Left out.")
    lock = Lock("sha256:" + "1" * 64, "3.11", "", findings=(said,))
    made = deployment()
    locked = replace(made, members=(replace(made.main, lock=lock),))
    assert said in decide_change(locked, None).findings
    assert locked.warnings() == made.warnings()
