"""The API over HTTP, asked by its client: what it answers, and what it refuses."""

from __future__ import annotations

import os
import pwd
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from cloche import artifacts
from cloche.artifacts import Deployment, Member, Operated, ReplicaRange, RevisionStatus, Standing
from cloche.clients.control import record as home
from cloche.clients.control.client import ControlClient, connect
from cloche.daemon.main import Parts, run
from cloche.daemon.process import only_one, prepare_home
from cloche.errors import ClocheError, UnavailableError, UsageError
from cloche.settings import Settings
from cloche.state.sqlite import SqliteJournal, SqliteState
from cloche.targets import ReplicaPhase
from cloche.testing import FixedVerifier, LivingTarget, World, deployment


@dataclass
class Served:
    """A control plane that answers, with what it stands on."""

    control: ControlClient
    target: LivingTarget
    verifier: FixedVerifier
    settings: Settings
    thread: threading.Thread

    def deployed(self, asked: Deployment | None = None) -> RevisionStatus:
        """Deploy and return the revision when its rollout has ended."""
        asked = asked or deployment()
        number = self.control.deploy(asked)["revision"]
        until(lambda: self.control.revision(asked.service, number).phase.ended)
        return self.control.revision(asked.service, number)

    def raw(self, **headers: str) -> httpx.Client:
        """Return a plain HTTP client with the right token, and other headers if given."""
        record = home.read_record(self.settings.home)
        assert record is not None
        token = {"authorization": f"Bearer {home.read_token(self.settings.home)}"}
        address = f"http://127.0.0.1:{record.port}"
        return httpx.Client(base_url=address, headers=token | headers, trust_env=False)


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.01)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    settings = Settings(tmp_path / "home")
    prepare_home(settings.home)
    target, verifier, told_to_end = LivingTarget(World()), FixedVerifier(), threading.Event()

    def serve() -> None:
        with only_one(settings.home):
            file = settings.layout.state
            parts = Parts(SqliteState(file), SqliteJournal(file), target, verifier)
            run(settings, parts, told_to_end)

    thread = threading.Thread(target=serve)
    thread.start()
    until(lambda: home.read_record(settings.home) is not None)
    with connect(settings) as control:
        yield Served(control, target, verifier, settings, thread)
    told_to_end.set()
    thread.join(20)
    assert not thread.is_alive()
    assert not settings.layout.control_record.exists()


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


def test_who_asks_is_known_from_the_token_alone(served: Served) -> None:
    owner = f"{pwd.getpwuid(os.geteuid()).pw_name}@{socket.gethostname()}"
    assert served.settings.layout.principal.read_text() == owner
    with served.raw(**{"cloche-by": "someone@else"}) as raw:
        body = artifacts.encode({**artifacts.to_builtins(deployment()), "by": "someone@else"})
        assert raw.post("/v1/services/digits/deployments", content=body).status_code == 201
        assert raw.post("/v1/services/digits/scale", json={"replicas": 2}).status_code == 200
    until(lambda: served.control.revision("digits", 1).phase.ended)
    assert served.control.revision("digits", 1).by == owner
    asked = [e for e in served.control.events("digits") if e.kind in {"deployed", "scaled"}]
    assert [(e.kind, e.by) for e in asked] == [("deployed", owner), ("scaled", owner)]


def test_scale_and_delete(served: Served) -> None:
    served.deployed()
    assert served.control.scale("digits", 2)["replicas"]["wanted"] == 2
    until(lambda: served.control.service("digits")["replicas"]["ready"] == 2)
    assert "@" in next(e.by for e in served.control.events("digits") if e.kind == "scaled")
    served.control.delete("digits")
    # A deploy of the same name waits until it is free.
    assert served.control.deploy(deployment()) == {"change": "revision", "revision": 2}
    served.control.delete("digits")
    until(lambda: served.control.status()["services"] == [])
    with pytest.raises(ClocheError) as caught:
        served.control.service("digits")
    assert caught.value.code == "service.unknown"
    assert served.target.world.replicas == {}


def test_verify_replays_the_golden_request(served: Served) -> None:
    served.deployed()
    served.verifier.wrong.add("./a.onnx")
    assert not served.control.verify("digits").passed
    assert served.control.service("digits")["verification"]["passed"] is False
    served.verifier.wrong.clear()
    elsewhere = served.control.verify("digits", url="http://127.0.0.1:9/", revision=1)
    assert elsewhere.passed
    assert served.verifier.asked[-2:] == [(1, "http://digits-r1-0"), (1, "http://127.0.0.1:9")]
    assert served.control.service("digits")["verification"]["passed"] is False
    with pytest.raises(UsageError, match="not the URL"):
        served.control.verify("digits", url="file:///etc/passwd")
    with pytest.raises(ClocheError, match="no revision 9"):
        served.control.verify("digits", revision=9)
    assert served.control.service("digits")["phase"] == "live"


def test_events_are_waited_for(served: Served) -> None:
    assert served.control.events() == ()
    found: list[artifacts.Event] = []
    waiter = threading.Thread(target=lambda: found.extend(served.control.events(wait=30)))
    waiter.start()
    served.control.deploy(deployment())
    waiter.join(10)
    assert found[0].kind == "deployed"
    until(lambda: served.control.service("digits")["phase"] == "live")
    seen = served.control.events("digits")
    assert [e.at for e in seen] == sorted(e.at for e in seen)
    assert len({e.cursor for e in seen}) == len(seen)
    begin = time.monotonic()
    assert served.control.events("digits", after=seen[-1].cursor, wait=0.2) == ()
    assert time.monotonic() - begin >= 0.2
    assert served.control.events("other") == ()


def test_logs_end_and_a_followed_log_ends_with_its_reader(served: Served) -> None:
    served.deployed()
    lines = list(served.control.logs("digits", lines=2))
    assert lines == [("digits-r1-0", "line 0"), ("digits-r1-0", "line 1")]
    assert list(served.control.logs("digits", revision=7)) == []
    served.target.followed.clear()
    following = served.control.logs("digits", lines=1, follow=True)
    assert next(following) == ("digits-r1-0", "line 0")
    assert not served.target.followed.is_set()
    following.close()
    assert served.target.followed.wait(10)
    with pytest.raises(ClocheError, match="no service nothing"):
        next(served.control.logs("nothing"))


def test_down_ends_everything_and_itself(served: Served) -> None:
    served.deployed()
    waiting = threading.Thread(target=lambda: served.control.events("nobody", wait=50))
    waiting.start()
    with served.raw() as http:
        assert http.post("/v1/down").json() == {"down": True}
    served.thread.join(20)
    waiting.join(20)
    assert not served.thread.is_alive()
    assert served.target.world.down
    with pytest.raises(UnavailableError) as caught:
        served.control.status()
    assert caught.value.code == "control.unreachable"


def test_down_that_fails_says_so_and_ends_all_the_same(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stuck() -> None:
        raise ClocheError("target.stuck", "A replica does not end.")

    monkeypatch.setattr(served.target, "down", stuck)
    with pytest.raises(ClocheError) as caught:
        served.control.down()
    assert caught.value.code == "target.stuck"
    served.thread.join(20)
    assert not served.thread.is_alive()


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"authorization": "Bearer wrong"}, 401, "control.unauthorized"),
        ({"authorization": ""}, 401, "control.unauthorized"),
        ({"host": "evil.example"}, 403, "control.host"),
        ({"host": "127.0.0.1.evil.example:80"}, 403, "control.host"),
        ({"host": ""}, 403, "control.host"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/health", "/v1/openapi.json", "/v1/nothing"])
def test_strangers_are_refused(
    served: Served, headers: dict[str, str], status: int, code: str, path: str
) -> None:
    with served.raw(**headers) as http:
        answer = http.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80"])
def test_loopback_names_are_good(served: Served, host: str) -> None:
    with served.raw(host=host) as http:
        assert http.get("/v1/health").status_code == 200


def bodies() -> list[tuple[bytes, int, str]]:
    right = deployment()
    other = artifacts.encode(replace(right, service="other"))
    foreign = replace(right, repository=deployment("other").repository)
    main = right.main
    wrong = replace(main.snapshot, digest="sha256:" + "0" * 64)
    forged = replace(right, members=(Member(main.name, wrong, main.facts),))

    def replicas(least: int, most: int) -> bytes:
        return artifacts.encode(replace(right, operated=Operated(ReplicaRange(least, most))))

    return [
        (b"{", 400, "api.malformed"),
        (b"", 422, "api.invalid"),
        (b"[]", 422, "api.invalid"),
        (b'{"service": 3}', 422, "api.invalid"),
        (other, 422, "deployment.invalid"),
        (artifacts.encode(foreign), 422, "deployment.invalid"),
        (artifacts.encode(forged), 422, "deployment.invalid"),
        (artifacts.encode(replace(right, members=())), 422, "deployment.invalid"),
        (replicas(0, 0), 422, "service.replicas"),
        (replicas(3, 2), 422, "service.replicas"),
        (replicas(1, 1001), 422, "service.replicas"),
        (replicas(0, 2), 422, "target.memory.replicas"),
        (replicas(2, 2).replace(b'"minimum":2', b'"minimum":true'), 422, "api.invalid"),
        (replicas(2, 2).replace(b'"minimum":2', b'"minimum":"2"'), 422, "api.invalid"),
    ]


@pytest.mark.parametrize(("body", "status", "code"), bodies())
def test_wrong_deployments_are_refused(served: Served, body: bytes, status: int, code: str) -> None:
    with served.raw() as http:
        answer = http.post("/v1/services/digits/deployments", content=body)
    said = answer.json()
    assert (answer.status_code, said["error"]["code"]) == (status, code), said
    assert said["exit_code"] == 2
    assert served.control.status()["services"] == []


@pytest.mark.parametrize("name", ["../x", "Digits", "a" * 64, "-a", "a b", "ä"])
def test_names_that_are_none_are_refused(served: Served, name: str) -> None:
    with pytest.raises(ClocheError) as caught:
        served.control.deploy(deployment(name))
    assert caught.value.code in {"service.name", "api.unknown"}
    assert served.control.status()["services"] == []


@pytest.mark.parametrize("replicas", [0, -1, 1001])
def test_numbers_of_replicas_that_are_none_are_refused(served: Served, replicas: int) -> None:
    served.deployed()
    with pytest.raises(UsageError, match="whole number from 1 to 1000"):
        served.control.scale("digits", replicas)


def test_what_is_not_there_is_said(served: Served) -> None:
    for call in (
        lambda: served.control.service("nothing"),
        lambda: served.control.revisions("nothing"),
        lambda: served.control.revision("nothing", 1),
        lambda: served.control.scale("nothing", 1),
        lambda: served.control.verify("nothing"),
        lambda: served.control.delete("nothing"),
        lambda: served.control.history("nothing"),
        lambda: served.control.rollback("nothing"),
    ):
        with pytest.raises(ClocheError) as caught:
            call()
        assert (caught.value.code, caught.value.exit_code) == ("service.unknown", 1)
    with served.raw() as http:
        answer = http.get("/v1/nothing")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "api.unknown")
        answer = http.get("/v1/events?after=x")
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "events.cursor")
        answer = http.get("/v1/events?wait=x")
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "api.invalid")
        assert http.get("/docs").status_code == 404


def test_a_defect_is_an_answer_too(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.target, "logs", lambda *_, **__: 1 / 0)
    served.deployed()
    with pytest.raises(ClocheError) as caught:
        list(served.control.logs("digits"))
    assert caught.value.code == "internal"


def test_the_api_describes_itself(served: Served) -> None:
    with served.raw() as http:
        described = http.get("/v1/openapi.json").json()
    paths = described["paths"]
    assert len(paths) == 14
    for path, calls in paths.items():
        for call in calls.values():
            assert call["description"], path
    body = paths["/v1/services/{name}/deployments"]["post"]["requestBody"]
    assert body["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Deployment"
    }
    assert "members" in described["components"]["schemas"]["Deployment"]["properties"]
