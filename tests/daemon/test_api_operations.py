"""All but deploys and rollbacks over HTTP: scale, delete, verify, events, logs, down."""

from __future__ import annotations

import os
import pwd
import socket
import threading
import time

import pytest
from served_control import Served

from cloche import artifacts
from cloche.errors import ClocheError, UnavailableError, UsageError
from cloche.testing import deployment
from fixtures.local import until


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


def test_restart(served: Served) -> None:
    served.deployed()
    asked = served.control.restart("digits")["restarted_at"]

    def replaced() -> bool:
        items = served.control.service("digits")["replicas"]["items"]
        return [each["restarted_at"] for each in items] == [asked]

    until(replaced)
    assert "@" in next(e.by for e in served.control.events("digits") if e.kind == "restarted")
    for name, hint in (("nothing", "cloche status"), ("Digit_s", "Did you mean digits?")):
        with pytest.raises(ClocheError, match=f"There is no service {name}") as caught:
            served.control.restart(name)
        assert caught.value.code == "service.unknown"
        assert hint in str(caught.value.hint)


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


def test_the_api_describes_itself(served: Served) -> None:
    with served.raw() as http:
        described = http.get("/v1/openapi.json").json()
    paths = described["paths"]
    assert len(paths) == 15
    for path, calls in paths.items():
        for call in calls.values():
            assert call["description"], path
    body = paths["/v1/services/{name}/deployments"]["post"]["requestBody"]
    assert body["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Deployment"
    }
    assert "members" in described["components"]["schemas"]["Deployment"]["properties"]
