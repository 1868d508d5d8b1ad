"""Deploys and rollbacks over HTTP: what each answers, and where its rollout ends."""

from __future__ import annotations

import pytest
from served_control import Served

from cloche.artifacts import Standing
from cloche.errors import ClocheError, UnavailableError
from cloche.targets import ReplicaPhase
from cloche.testing import deployment
from fixtures.local import until


def test_a_deploy_from_the_request_to_live(served: Served) -> None:
    control = served.control
    assert control.health()["home"] == str(served.settings.home)
    assert control.status()["services"] == []
    assert control.deploy(deployment()) == {"change": "revision", "revision": 1}
    until(lambda: control.service("digits")["phase"] == "live")
    status = control.service("digits")
    assert status == control.status()["services"][0]
    assert {key: status[key] for key in ("service", "revision", "live", "wanted")} == {
        "service": "digits", "revision": 1, "live": 1, "wanted": 1,
    }  # fmt: skip
    assert status["model"] == {
        "reference": "./a.onnx",
        "pinned": "/models/a.onnx",
        "source": "files",
        "version": None,
        "digest": deployment().main.snapshot.digest,
        "format": "onnx",
    }
    assert status["http"] == "http://127.0.0.1:8080/v2/models/digits/infer"
    assert status["grpc"] == "127.0.0.1:8080"
    assert status["verification"]["passed"]
    assert status["failure"] is None
    assert (status["replicas"]["wanted"], status["replicas"]["ready"]) == (1, 1)
    assert status["replicas"]["items"][0]["id"] == "digits-r1-0"
    assert control.revisions("digits") == (control.revision("digits", 1),)
    assert control.revision("digits", 1).deployment == deployment()


def test_the_same_again_changes_nothing(served: Served) -> None:
    first = {"change": "revision", "revision": 1}
    again = {"change": "none", "revision": 1}
    assert served.control.deploy(deployment()) == first
    assert served.control.deploy(deployment()) == again
    until(lambda: served.control.service("digits")["phase"] == "live")
    assert served.control.deploy(deployment()) == again
    more = deployment(replicas=3)
    assert served.control.deploy(more) == {"change": "scaled", "revision": 1}
    until(lambda: served.control.service("digits")["replicas"]["ready"] == 3)


def test_a_deploy_that_says_nothing_of_replicas_leaves_them(served: Served) -> None:
    served.deployed()
    served.control.scale("digits", 2)
    silent = deployment(replicas=None)
    assert served.control.deploy(silent) == {"change": "none", "revision": 1}
    other = deployment(model="b", replicas=None)
    assert served.control.deploy(other) == {"change": "revision", "revision": 2}
    assert served.control.service("digits")["replicas"]["wanted"] == 2


def test_what_failed_or_is_retired_gets_a_new_number(served: Served) -> None:
    served.verifier.wrong.add("./wrong.onnx")
    assert served.deployed(deployment(model="a")).phase is Standing.LIVE
    failed = served.deployed(deployment(model="wrong"))
    assert failed.failure is not None
    assert failed.failure["code"] == "rollout.verification"
    status = served.control.service("digits")
    assert (status["live"], status["wanted"], status["phase"]) == (1, 2, "failed")
    assert status["failure"] == failed.failure
    assert served.deployed(deployment(model="wrong")).number == 3
    assert served.control.deploy(deployment(model="a")) == {"change": "none", "revision": 1}
    assert served.control.service("digits")["phase"] == "live"
    assert served.deployed(deployment(model="b")).number == 4
    assert served.deployed(deployment(model="a")).number == 5


def test_the_live_revision_asked_again_ends_a_rollout(served: Served) -> None:
    served.deployed(deployment(model="a"))
    served.verifier.broken["./b.onnx"] = UnavailableError("golden.later", "Not yet.")
    assert served.control.deploy(deployment(model="b"))["revision"] == 2
    back = served.control.deploy(deployment(model="a"))
    assert back == {"change": "revision", "revision": 1}
    assert served.control.revision("digits", 2).phase is Standing.SUPERSEDED
    assert served.control.revision("digits", 1).phase is Standing.LIVE


def test_a_live_revision_whose_replicas_failed_is_deployed_again(served: Served) -> None:
    served.deployed()
    served.target.world.set_phase("digits-r1-0", ReplicaPhase.FAILED)
    assert served.control.deploy(deployment()) == {"change": "revision", "revision": 2}
    until(lambda: served.control.service("digits")["live"] == 2)


def test_plan_says_what_deploy_does_after_a_failure(served: Served) -> None:
    """Both contradicted each other: one compared with what was wanted, one with what is live."""
    served.verifier.wrong.add("./wrong.onnx")
    served.deployed(deployment(model="a"))
    served.deployed(deployment(model="wrong"))
    control = served.control
    assert control.plan(deployment(model="wrong")).kind == "update"
    assert control.deploy(deployment(model="wrong")) == {"change": "revision", "revision": 3}
    until(lambda: control.revision("digits", 3).phase.ended)
    assert control.plan(deployment(model="a")).kind == "none"
    assert control.deploy(deployment(model="a")) == {"change": "none", "revision": 1}


def test_a_rollback_brings_back_what_was_live_before(served: Served) -> None:
    served.deployed(deployment(model="a"))
    served.deployed(deployment(model="b"))
    asked = len(served.verifier.asked)
    assert served.control.rollback("digits") == {"change": "revision", "revision": 1}
    until(lambda: served.control.service("digits")["live"] == 1)
    assert len(served.verifier.asked) == asked + 1
    assert served.control.revision("digits", 1).phase is Standing.LIVE
    assert served.control.revision("digits", 2).phase is Standing.RETIRED
    until(lambda: len(served.control.service("digits")["replicas"]["items"]) == 1)
    history = served.control.history("digits")
    rollouts = history["rollouts"]
    assert [(one["to"], one["from"], one["cause"], one["outcome"]) for one in rollouts] == [
        (1, 2, "rollback", "completed"), (2, 1, "deploy", "completed"),
        (1, None, "deploy", "completed"),
    ]  # fmt: skip
    assert "@" in rollouts[0]["by"]
    assert (history["restorable"], history["keep"]) == ([1, 2], 10)
    assert served.control.rollback("digits", 2, verify=False)["revision"] == 2
    until(lambda: served.control.service("digits")["live"] == 2)
    assert len(served.verifier.asked) == asked + 1
    events = [one.kind for one in served.control.events("digits")]
    assert events.count("rolled_back") == 2


def test_a_rollback_that_cannot_be_is_refused_in_one_sentence(served: Served) -> None:
    control = served.control

    def refusal(*arguments: int | None, **options: bool) -> ClocheError:
        before = control.history("digits")["rollouts"]
        with pytest.raises(ClocheError) as caught:
            control.rollback("digits", *arguments, **options)
        assert control.history("digits")["rollouts"] == before
        assert caught.value.hint
        return caught.value

    served.deployed(deployment(model="a"))
    assert refusal().code == "rollback.nothing"
    assert refusal(7).code == "revision.unknown"
    assert refusal(1).code == "rollback.live"
    served.verifier.wrong.add("./wrong.onnx")
    served.deployed(deployment(model="wrong"))
    assert refusal(2, verify=False).code == "rollback.unverified"
    served.deployed(deployment(model="c"))
    served.target.world.gone.add(deployment(model="a").repository.digest)
    gone = refusal()
    assert gone.code == "rollback.gone"
    assert "./a.onnx" in (gone.hint or "")
    assert control.history("digits")["restorable"] == [2, 3]
    served.target.world.gone.clear()
    served.verifier.broken["./d.onnx"] = UnavailableError("golden.later", "Not yet.")
    control.deploy(deployment(model="d"))
    until(lambda: control.revision("digits", 4).phase is Standing.VERIFYING)
    under_way = refusal()
    assert (under_way.code, "--to 3" in (under_way.hint or "")) == ("rollback.under_way", True)
    assert control.rollback("digits", 3) == {"change": "revision", "revision": 3}
    assert control.revision("digits", 4).phase is Standing.SUPERSEDED
    assert control.service("digits")["phase"] == "live"


def test_a_rollback_to_what_fails_now_leaves_what_is_live(served: Served) -> None:
    served.deployed(deployment(model="a"))
    served.deployed(deployment(model="b"))
    served.verifier.wrong.add("./a.onnx")
    served.control.rollback("digits", 1)
    until(lambda: served.control.revision("digits", 1).phase.ended)
    failed = served.control.revision("digits", 1)
    assert failed.phase is Standing.FAILED
    assert failed.failure is not None
    assert failed.failure["code"] == "rollout.verification"
    assert "Revision 2 is still live" in failed.failure["hint"]
    assert served.control.service("digits")["live"] == 2
    served.verifier.wrong.clear()
    served.control.rollback("digits", 1)
    until(lambda: served.control.service("digits")["live"] == 1)


def test_status_says_how_much_can_be_brought_back(served: Served) -> None:
    served.deployed(deployment(model="a"))
    served.deployed(deployment(model="b"))
    kept = served.control.status()["kept"]
    assert kept == {"bytes": 2, "limit": served.settings.cache_max_size}


def test_trouble_shows_while_it_lasts(served: Served) -> None:
    served.verifier.broken["./a.onnx"] = UnavailableError("golden.later", "Not yet.")
    served.control.deploy(deployment())
    until(lambda: served.control.service("digits")["failure"] is not None)
    assert served.control.service("digits")["failure"]["code"] == "golden.later"
    served.verifier.broken.clear()
    until(lambda: served.control.service("digits")["phase"] == "live")
    assert served.control.service("digits")["failure"] is None
