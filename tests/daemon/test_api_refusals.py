"""What the API refuses: strangers, wrong requests, what is not there, and its own defects."""

from __future__ import annotations

from dataclasses import replace

import pytest
from served_control import Served

from cloche import artifacts
from cloche.artifacts import Member, Operated, ReplicaRange, Undetermined
from cloche.errors import ClocheError, UsageError
from cloche.testing import deployment
from fixtures.local import until


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
    foreseen = replace(right, undetermined=(Undetermined.BATCHES,))
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
        (artifacts.encode(foreseen), 422, "deployment.undetermined"),
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


def test_a_consent_that_is_none_is_refused(served: Served) -> None:
    with served.raw() as http:
        path = "/v1/services/digits/deployments?accept=everything"
        answer = http.post(path, content=artifacts.encode(deployment()))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "api.invalid")
    assert served.control.status()["services"] == []


def test_an_open_question_is_a_conflict_until_it_is_accepted(served: Served) -> None:
    served.control.deploy(deployment(derived=True))
    until(lambda: served.control.service("digits")["phase"] == "live")
    other = artifacts.encode(deployment(model="b", derived=True))
    with served.raw() as http:
        refused = http.post("/v1/services/digits/deployments", content=other)
        accepted = http.post("/v1/services/digits/deployments?accept=replace", content=other)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "deploy.confirm")
    assert (accepted.status_code, accepted.json()["revision"]) == (201, 2)


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
