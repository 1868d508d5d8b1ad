"""Names as people choose them, with everything real: the longest, shared ones, equal ones."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from fixtures.command_line import User, a_user, finished, scaled_maximum
from fixtures.local import until

pytestmark = pytest.mark.timeout(600)
X = {"name": "x", "shape": [4], "datatype": "FP32", "data": [1, 2, 3, 4]}


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with a_user() as one:
        yield one


def revision_at(url: str, service: str | None = None) -> str | int:
    """Ask for an inference; return the header with the revision, or the status of an error."""
    headers = {"cloche-service": service} if service else {}
    request = urllib.request.Request(url, json.dumps({"inputs": [X]}).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.headers["cloche-revision"])
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def http(user: User, service: str) -> str:
    return str(user.service(service)["http"])


def test_the_longest_name_goes_live(user: User) -> None:
    name = "n" * 63
    model = scaled_maximum(user.folder / f"{name}.onnx", 1)
    made = user.run("deploy", model, "--json").expect(0).json
    assert (made["service"], made["phase"]) == (name, "live")
    answer = user.run("infer", name, "--input", "-", "--json", given="[[1, 2, 3, 4]]").expect(0)
    assert answer.json["outputs"]
    user.run("delete", name, "--yes").expect(0)


def test_a_name_of_a_model_stays_with_the_service_that_had_it_first(user: User) -> None:
    for team in ("team-b", "team-a"):
        finished(user.folder / team, "prep", "x")
    plain = f"http://{user.address}/v2/models/prep/infer"
    first = user.deploy(user.folder / "team-b", "team-b")
    assert (first["http"], first["findings"]) == (plain, [])

    planned = user.run("plan", user.folder / "team-a", "--name", "team-a", "--json").expect(0).json
    found = [finding for finding in planned["findings"] if finding["code"] == "address.taken"]
    assert "prep leads to team-b" in found[0]["what"]
    said = user.run("deploy", user.folder / "team-a", "--name", "team-a").expect(0).out
    assert "warning[address.taken]" in said
    by_host = f"http://team-a.localhost:{user.settings.gateway_port}/v2/models/prep/infer"
    assert by_host in said
    assert http(user, "team-b") == plain
    assert http(user, "team-a") == by_host
    assert revision_at(plain, "team-a") == "1"

    # A restart of everything forgets nobody, and nobody answers in place of another.
    os.kill(user.control_pid(), signal.SIGKILL)
    user.run("status").expect(0)
    assert (http(user, "team-b"), http(user, "team-a")) == (plain, by_host)
    user.run("down").expect(0)
    assert user.deploy(user.folder / "team-a", "team-a", "--no-wait")["http"] == by_host
    until(lambda: revision_at(plain) == "1", 60)
    assert (http(user, "team-b"), http(user, "team-a")) == (plain, by_host)

    user.run("delete", "team-b", "--yes").expect(0)
    until(lambda: http(user, "team-a") == plain)
    until(lambda: revision_at(plain) == "1")
    user.run("delete", "team-a", "--yes").expect(0)


def test_another_file_of_the_same_name_needs_a_yes(user: User) -> None:
    paths: list[Any] = []
    for folder, factor in (("one", 1), ("two", 2)):
        (user.folder / folder).mkdir()
        paths.append(scaled_maximum(user.folder / folder / "model.onnx", factor))
    user.run("deploy", paths[0]).expect(0)
    refused = user.run("deploy", paths[1]).expect(1).err
    assert "error[deploy.confirm]: model serves" in refused
    assert user.service("model")["live"] == 1
    user.run("deploy", paths[1], "--replace").expect(0)
    assert user.service("model")["live"] == 2
    user.run("deploy", paths[0], "--name", "model").expect(0)
    user.run("delete", "model", "--yes").expect(0)
