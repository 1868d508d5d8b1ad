"""What replicas are, and what is told where neither wheel nor engine runs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from cloche import composition, pipeline, spec
from cloche.artifacts import Judge, ModelRepository, RepositoryMember, Runtime
from cloche.errors import ClocheError
from cloche.pipeline import replica_image
from cloche.progress import SilentProgress
from cloche.servers.triton import host
from cloche.settings import Settings
from cloche.targets import Desired
from cloche.targets.local import replica_images, runtimes
from cloche.targets.local.containers import Containers
from cloche.targets.local.replica_images import ReplicaImage

NOWHERE = {"PATH": "/nonexistent"}
IMAGE = ReplicaImage(
    service="digits", repository="sha256:" + "1" * 64, digest="sha256:" + "2" * 64,
    name="localhost/cloche-0/digits:222222222222", id="sha256:" + "3" * 64,
    layers={"sha256:" + "4" * 64: 1000}, ports=(8000, 8001, 8002), shared_memory=2**27,
    kind="docker", program="/bin/false", environment={"PATH": "/bin"}, platform="linux/amd64",
)  # fmt: skip


@pytest.fixture
def old_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine where Triton's wheel does not run."""
    monkeypatch.setattr(host, "_c_library", lambda: "glibc 2.34")


@pytest.mark.parametrize("asked", list(Runtime))
@pytest.mark.usefixtures("old_library")
def test_what_is_asked_for_holds(asked: Runtime) -> None:
    assert runtimes.chosen(asked, composition.server()) == runtimes.Choice(asked)


def test_processes_are_the_default_where_the_wheel_runs() -> None:
    assert runtimes.chosen(None, composition.server()).runtime is Runtime.PROCESS
    assert replica_image.engine(None, NOWHERE) is None
    assert replica_image.findings(None, None) == ()


@pytest.mark.usefixtures("old_library")
def test_containers_are_the_default_where_it_does_not() -> None:
    choice = runtimes.chosen(None, composition.server())
    assert choice.runtime is Runtime.CONTAINER
    assert choice.refused is not None
    (finding,) = replica_image.findings(None, IMAGE.engine)
    assert finding.what.startswith("Replicas run as containers of Docker. Triton's wheel needs")


@pytest.mark.usefixtures("old_library")
def test_without_an_engine_the_machine_is_refused_as_before() -> None:
    with pytest.raises(ClocheError) as caught:
        replica_image.engine(None, NOWHERE)
    assert caught.value.code == "server.triton.platform"
    hint = caught.value.hint or ""
    assert "glibc 2.35" in hint
    assert "There is no docker and no podman" in hint
    with pytest.raises(ClocheError) as caught:
        replica_image.engine(Runtime.CONTAINER, NOWHERE)
    assert caught.value.code == "engine.missing"


@pytest.mark.usefixtures("old_library")
def test_a_model_is_prepared_where_nothing_runs_it(tmp_path: Path) -> None:
    """Only its server can judge it then."""
    from onnx import save

    from formats.onnx_models import mlp

    save(mlp(), tmp_path / "scores.onnx")
    deployment = pipeline.prepare(
        spec.from_reference("./scores.onnx", directory=tmp_path), directory=tmp_path,
        settings=Settings(home=tmp_path / "home"), progress=SilentProgress(),
    )  # fmt: skip
    assert deployment.golden is not None
    assert deployment.golden.judge is Judge.SMOKE
    assert not (tmp_path / "home" / "servers").exists()


def test_a_model_for_a_gpu_alone_gets_no_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "has_gpu", lambda: True)
    repository = ModelRepository(
        "digits", "sha256:" + "1" * 64, (), (RepositoryMember("digits", "onnxruntime", (), (), 0),),
        gpu_models=("digits",),
    )  # fmt: skip
    target = composition.target(Settings(home=tmp_path))
    target.admit(Desired("digits", asked=repository))
    with pytest.raises(ClocheError) as caught:
        target.admit(Desired("digits", asked=repository, runtime=Runtime.CONTAINER))
    assert caught.value.code == "target.local.container_gpu"


def test_a_runtime_is_part_of_what_is_served() -> None:
    given = spec.parse("name: digits\nmodel: ./digits.onnx\nruntime: container\n")
    assert given.served().runtime is Runtime.CONTAINER
    assert spec.from_reference("./digits.onnx").served().runtime is None


AT = ("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3")


def test_a_container_is_reached_on_loopback_alone(tmp_path: Path) -> None:
    launch = Containers(tmp_path, tmp_path / "containers").launch(IMAGE, "digits-r1-0", AT)
    words = list(launch.argv)
    assert [words[at + 1] for at, word in enumerate(words) if word == "--publish"] == [
        "127.0.0.1:1:8000", "127.0.0.1:2:8001", "127.0.0.1:3:8002",
    ]  # fmt: skip
    assert {"--read-only", "--cap-drop", "never", f"{2**27}b"} <= set(words)
    assert words[-1] == IMAGE.id
    assert "--memory" not in words


def test_a_container_has_the_memory_that_is_asked_for(tmp_path: Path) -> None:
    containers = Containers(tmp_path, tmp_path / "containers")
    words = containers.launch(IMAGE, "digits-r1-0", AT, 2**30).argv
    assert words[words.index("--memory") + 1] == f"{2**30}b"
    assert words[words.index("--memory-swap") + 1] == f"{2**30}b"


def test_no_secret_of_the_user_is_written_down() -> None:
    given = {"DOCKER_HOST": "unix:///s", "DOCKER_AUTH_CONFIG": "{}", "TOKEN": "x", "HOME": "/h"}
    assert replica_images.variables(given) == {"DOCKER_HOST": "unix:///s", "HOME": "/h"}


def test_an_engine_that_does_not_answer_keeps_its_images(tmp_path: Path) -> None:
    replica_images.save(tmp_path, IMAGE)
    cleaned = replica_images.clean(tmp_path, (), before=2.0**40)
    assert (cleaned.freed, cleaned.size, cleaned.removed) == (0, 1000, ())
    with pytest.raises(ClocheError) as caught:
        replica_images.existing(tmp_path, IMAGE.service, IMAGE.repository)
    assert caught.value.code == "engine.unreachable"
    with pytest.raises(ClocheError) as caught:
        replica_images.existing(tmp_path, "other", IMAGE.repository)
    assert caught.value.code == "target.local.image"


def test_of_a_repository_the_image_that_was_loaded_last_is_kept(tmp_path: Path) -> None:
    newer = replace(IMAGE, digest="sha256:" + "5" * 64)
    for time, image in ((1, IMAGE), (2, newer)):
        replica_images.save(tmp_path, image)
        os.utime(tmp_path / f"digits-{image.digest[7:19]}.json", (time, time))
    kept = {each.digest: each.kept for each in replica_images.usage(tmp_path, {IMAGE.repository})}
    assert kept == {IMAGE.digest: False, newer.digest: True}
    assert not any(each.kept for each in replica_images.usage(tmp_path, ()))
