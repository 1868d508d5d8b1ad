"""Replicas as containers of a real Docker, behind the real gateway, by the command line.

The whole of Cloche runs where the engine publishes its ports.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import own_base
import pytest
from docker_engine import Docker

from cloche.images.image import Image
from cloche.settings import Settings
from fixtures.command_line import User, a_user, scaled_maximum
from fixtures.local import until

SPEC = "name: largest\nmodel: ./model.onnx\nruntime: container\n"


@pytest.fixture
def user(bridged: Docker, kept: Settings, made: Image) -> Iterator[User]:
    """Somebody whose home has the base: nothing outside can be reached from where they are."""
    with a_user(cleans=True, inside=bridged.inside) as somebody:
        own_base.bring(made, kept, somebody.settings)
        somebody.environment["DOCKER_HOST"] = f"unix://{bridged.socket}"
        (somebody.folder / "cloche.yaml").write_text(SPEC)
        yield somebody
        somebody.run("down").expect(0)
        assert bridged("ps", "--all", "--quiet") == ""
        for name in images(bridged):
            bridged("rmi", name)


def images(docker: Docker) -> list[str]:
    """The names of the engine's images of replicas."""
    names = docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    return sorted(name for name in names if name.startswith("localhost/cloche-"))


def deploy(user: User, factor: float) -> Any:
    scaled_maximum(user.folder / "model.onnx", factor)
    return user.run("deploy", "--json").expect(0).json


def answer(user: User) -> float:
    said = user.run("infer", "largest", "-i", "-", "--json", given='{"x": [[1, 2, 3]]}').expect(0)
    (output,) = said.json["outputs"]
    return float(output["data"][0])


def replica(user: User) -> dict[str, Any]:
    """The only one that is not being stopped."""
    (service,) = user.run("status", "--json").expect(0).json["services"]
    (found,) = (one for one in service["replicas"]["items"] if one["phase"] != "stopping")
    return found


def is_again_ready(user: User, restarts: int) -> bool:
    found = replica(user)
    return (found["phase"], found["restarts"]) == ("ready", restarts)


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def control_pid(user: User) -> int:
    return int(json.loads((user.home / "control.json").read_text())["pid"])


def test_a_service_runs_in_containers(user: User, bridged: Docker) -> None:
    """Deployed, asked, killed, deployed anew, rolled back: as with processes."""
    scaled_maximum(user.folder / "model.onnx", 2)
    planned = user.run("plan").expect(0).out
    assert "Replicas run as containers of Docker." in planned
    assert images(bridged) == []

    live = deploy(user, 2)
    assert (live["revision"], live["verification"]["judge"]) == (1, "reference")
    assert answer(user) == 6.0
    assert replica(user)["runtime"] == "container"
    assert "containers of the service's image" in user.run("status").expect(0).out
    (found,) = json.loads(bridged("inspect", *bridged("ps", "--quiet").split()))
    host = found["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"])
    ports = [each for several in found["NetworkSettings"]["Ports"].values() for each in several]
    assert {each["HostIp"] for each in ports} == {"127.0.0.1"}
    assert "Started HTTPService" in user.run("logs", "largest").expect(0).out

    bridged("kill", found["Name"].lstrip("/"))
    until(lambda: is_again_ready(user, 1))
    assert answer(user) == 6.0

    assert deploy(user, 3)["revision"] == 2
    assert answer(user) == 9.0
    assert len(images(bridged)) == 2
    user.run("rollback", "largest").expect(0)
    assert answer(user) == 6.0
    assert len(images(bridged)) == 2, "nothing was loaded again"

    user.run("down").expect(0)
    assert bridged("ps", "--all", "--quiet") == ""


def test_what_a_kill_leaves_is_taken_over_or_removed(user: User, bridged: Docker) -> None:
    deploy(user, 2)
    container = bridged("ps", "--quiet")

    end(control_pid(user))
    assert is_again_ready(user, 0), "it was adopted"
    assert bridged("ps", "--quiet") == container

    end(replica(user)["pid"])
    until(lambda: is_again_ready(user, 1))
    (again,) = bridged("ps", "--all", "--quiet").split()
    assert again not in container

    pid = replica(user)["pid"]
    end(control_pid(user))
    end(pid)
    until(lambda: is_again_ready(user, 2))
    assert len(bridged("ps", "--all", "--quiet").split()) == 1
    assert answer(user) == 6.0

    # Nothing on disk tells of it any more.
    pid = replica(user)["pid"]
    end(control_pid(user))
    end(pid)
    (record,) = (user.home / "run" / "revisions").glob("largest-r1/replicas/*.json")
    record.unlink()
    until(lambda: is_again_ready(user, 0))
    assert len(bridged("ps", "--all", "--quiet").split()) == 1


def test_containers_are_the_default_where_the_wheel_does_not_run(
    user: User, tmp_path: Path
) -> None:
    """As on a machine with an older C library, in every process of Cloche."""
    (tmp_path / "sitecustomize.py").write_text("import os\nos.confstr = lambda _: 'glibc 2.34'\n")
    user.environment["PYTHONPATH"] = str(tmp_path)
    scaled_maximum(user.folder / "model.onnx", 2)
    words = ("./model.onnx", "--name", "largest")
    (finding,) = (
        each
        for each in user.run("plan", *words, "--json").expect(0).json["findings"]
        if each["code"] == "runtime.container"
    )
    assert "needs glibc 2.35 or newer; this machine has 2.34" in finding["what"]
    live = user.run("deploy", *words, "--json").expect(0).json
    assert live["verification"]["judge"] == "smoke"
    assert replica(user)["runtime"] == "container"
    assert answer(user) == 6.0


def test_images_that_no_revision_needs_are_removed(user: User, bridged: Docker) -> None:
    deploy(user, 2)
    deploy(user, 3)
    before = images(bridged)
    cleaned = user.run("cache", "clean", "--to", "0", "--json").expect(0).json
    assert images(bridged) == before
    assert [each for each in cleaned["removed"] if each["kind"] == "image"] == []

    user.run("delete", "largest", "--yes").expect(0)
    until(lambda: not user.run("status", "--json").json["services"])
    cleaned = user.run("cache", "clean", "--to", "0", "--json").expect(0).json
    assert len([each for each in cleaned["removed"] if each["kind"] == "image"]) == 2
    assert images(bridged) == []


def test_an_image_that_somebody_removed(user: User, bridged: Docker) -> None:
    deploy(user, 2)
    deploy(user, 3)
    until(lambda: len(bridged("ps", "--all", "--quiet").split()) == 1)
    (first,) = (name for name in images(bridged) if bridged("ps", "--quiet", "--filter",
                f"ancestor={name}") == "")  # fmt: skip
    bridged("rmi", first)
    failed = user.run("rollback", "largest", "--json").expect(1)
    assert failed.json["error"]["code"] == "rollback.gone"
    assert "Docker no longer has the image of its replicas" in failed.json["error"]["what"]
    assert answer(user) == 9.0


def test_an_engine_without_a_network_is_refused_before_anything_changes(
    docker: Docker, tmp_path: Path
) -> None:
    with a_user() as somebody:
        (somebody.folder / "cloche.yaml").write_text(SPEC)
        scaled_maximum(somebody.folder / "model.onnx", 2)
        for verb in ("plan", "deploy"):
            failed = somebody.run(verb, "--json", DOCKER_HOST=f"unix://{docker.socket}").expect(1)
            assert failed.json["error"]["code"] == "engine.network"
        assert images(docker) == []
        assert not (somebody.home / "state.db").exists()
