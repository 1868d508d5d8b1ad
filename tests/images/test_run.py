"""`cloche image run` in a real Docker: what is verified, what is told, and that nothing is left.

Most images lie on a base whose server answers every request alike; one has Triton.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import docker_engine
import numpy as np
import pytest
import tiny_base
from run_command import RunCommand

from cloche.artifacts import Deployment
from cloche.artifacts.container import SHARED_MEMORY
from cloche.cli import main
from cloche.clients.engine import engine as engines
from cloche.clients.engine.engine import State
from cloche.clients.engine.program import Program
from cloche.clients.oci import reference as references
from cloche.errors import ClocheError
from cloche.images.bases import base as bases
from cloche.images.image import Platform
from cloche.images.sources import reading
from cloche.pipeline import image_run as running
from cloche.pipeline.image import push_image, registries, write_image
from cloche.progress import SilentProgress
from cloche.settings import Settings
from cloche.store import Store
from cloche.verification import bodies
from fixtures.local import until
from fixtures.registries import nobody, serve_registry

AMD64 = Platform("linux", "amd64")
SILENT = SilentProgress()
PORT = 8417
SERVES = """#!/bin/sh
if [ "$1" != answer ]; then
    echo "it serves"
    exec nc -ll -p 8000 -e /bin/sh "$0" answer
fi
read -r method path version
size=0
while read -r name value; do
    case "$name" in [Cc]ontent-[Ll]ength:) size=$(echo "$value" | tr -d '\\r') ;; esac
    [ "$name" != "$(printf '\\r')" ] || break
done
head -c "$size" >/dev/null
printf 'HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n'
[ "$method" = POST ] || { printf 'Content-Length: 0\\r\\n\\r\\n'; exit; }
printf 'Inference-Header-Content-Length: HEADER\\r\\nContent-Length: SIZE\\r\\n\\r\\n'
cat /answer
"""
ENDS = "#!/bin/sh\necho 'no model can be loaded' >&2\nexit 3\n"
HANGS = "#!/bin/sh\necho 'it loads'\nexec sleep 600\n"


@dataclass(frozen=True)
class Images:
    """Makes images whose server is a script, or one that answers with zeros, or other values."""

    folder: Path
    deployment: Deployment
    store: Store
    settings: Settings

    def base(self, server: str, value: float = 0.0, architecture: str = "amd64") -> bases.Base:
        program = tiny_base.busybox()
        if program is None:
            pytest.skip("needs a static busybox: apt-get install busybox-static")
        answer = bodies.keep({"y": np.full((2, 10), value, np.float32)}, "outputs", self.store)
        data = self.store.read(answer.digest)
        server = server.replace("HEADER", str(answer.header_length)).replace(
            "SIZE", str(len(data))
        )  # fmt: skip
        layer = tiny_base.rootfs(program.read_bytes(), server, {"answer": data})
        folder = self.folder / f"base-{uuid.uuid4().hex[:8]}"
        tiny_base.Layout(folder).image(layer, tiny_base.configuration(layer, architecture))
        return bases.read(str(folder), Platform("linux", architecture))

    def write(self, name: str, base: bases.Base, deployment: Deployment | None = None) -> Path:
        write_image(
            deployment or self.deployment, [base], self.folder / name,
            settings=self.settings, progress=SILENT,
        )  # fmt: skip
        return self.folder / name

    def push(self, name: str) -> None:
        with registries(nobody()) as opened:
            push_image(
                self.deployment, [self.base(SERVES)], references.parse(name), opened,
                settings=self.settings, progress=SILENT,
            )  # fmt: skip


@pytest.fixture
def images(tmp_path, asked, store, settings) -> Images:
    return Images(tmp_path, asked, store, settings)


@pytest.mark.parametrize("name", ["out", "out.tar"])
def test_an_image_is_verified_by_what_it_brings(image_run, images, name):
    path = images.write(name, images.base(SERVES))
    said = image_run(path, "--json").expect(0).json
    assert (said["passed"], said["judge"], said["origin"]) == (True, "reference", "made")
    assert (said["engine"], said["model"], said["container"]) == ("docker", "scores", None)
    assert said["digest"] == reading.read(path).digest
    assert said["url"].startswith("http://127.0.0.1:")
    assert [each["name"] for each in said["outputs"]] == ["y"]
    assert "scores: passed" in image_run(path).expect(0).out


def test_another_answer_fails(image_run, images):
    path = images.write("out", images.base(SERVES, value=1.0))
    failed = image_run(path).expect(1)
    assert "scores: FAILED" in failed.out
    assert "The container said at last:\nit serves" in failed.err


def test_without_answers_types_are_judged(image_run, images):
    path = images.write("out", images.base(SERVES, value=1.0))
    index = json.loads((path / "index.json").read_bytes())
    index["manifests"] = [each for each in index["manifests"] if "artifactType" not in each]
    (path / "index.json").write_text(json.dumps(index))
    said = image_run(path, "--json").expect(0).json
    assert (said["judge"], said["why"]) == ("smoke", "No answers are kept with the image.")


def test_without_a_golden_request_there_is_nothing_to_verify_by(image_run, images):
    path = images.write("out", images.base(SERVES), replace(images.deployment, golden=None))
    failed = image_run(path, "--json").expect(1)
    assert failed.json["error"]["code"] == "golden.missing"
    assert "gets ready" in failed.json["error"]["what"]


def test_a_container_that_ends_is_told_with_its_words(image_run, images):
    path = images.write("out", images.base(ENDS))
    failed = image_run(path, "--json").expect(1)
    error = failed.json["error"]
    assert error["code"] == "image.run.ended"
    assert "status 3" in error["what"]
    assert "no model can be loaded" in error["what"]
    assert "no model can be loaded" in failed.err


def test_a_container_that_is_not_ready_in_time(image_run, images):
    path = images.write("out", images.base(HANGS))
    failed = image_run(path, "--timeout", "1s", "--json").expect(1)
    assert failed.json["error"]["code"] == "image.run.late"
    assert "it loads" in failed.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing(image_run, bridged, images, number):
    path = images.write("out", images.base(HANGS))
    process = image_run.start(path)
    until(lambda: bridged("ps", "--quiet") or process.poll() is not None)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_an_image_of_the_user_stays(image_run, bridged, images):
    """The same one, under its own name."""
    path = images.write("out.tar", images.base(SERVES))
    bridged("load", "-i", path)
    try:
        image_run(path).expect(0)
        assert "scores" in bridged("images", "--format", "{{.Repository}}").split()
    finally:
        bridged("rmi", "scores:latest")


def test_a_container_is_kept_where_that_is_asked_for(image_run, bridged, images):
    path = images.write("out", images.base(SERVES))
    said = image_run(path, "--keep", "--port", str(PORT)).expect(0).out
    try:
        shown = bridged("ps", "--format", "{{.Ports}}")
        assert f"127.0.0.1:{PORT}->8000/tcp" in shown
        taken = image_run(path, "--port", str(PORT), "--json").expect(1)
        assert taken.json["error"]["code"] == "image.run.port"
    finally:
        ending = said.partition("End it: ")[2].strip().replace("docker ", "").split(" && ")
        for words in ending:
            bridged(*words.split())


def test_an_image_of_a_registry_is_verified(image_run, images, bridged, registry_program, tmp_path):
    """One that runs where the engine does, on the storage to which the image was pushed."""
    outside, name = tmp_path / "outside", "team/scores"
    with serve_registry(registry_program, outside, users=False) as host:
        images.push(f"{host}/{name}:v1")
    storage = (tmp_path / "inside" / "storage", outside / "storage")
    storage[0].parent.mkdir()
    storage[1].rename(storage[0])
    within = {"users": False, "within": bridged.inside}
    with serve_registry(registry_program, tmp_path / "inside", **within) as host:
        said = image_run(f"{host}/{name}:v1", "--json").expect(0).json
    assert (said["passed"], said["judge"]) == (True, "reference")


def test_it_runs_as_hardened_as_an_image_may(image_run, bridged, images):
    path = images.write("out", images.base(SERVES))
    image_run(path, "--keep").expect(0)
    (container,) = bridged("ps", "--quiet").split()
    (found,) = json.loads(bridged("inspect", container))
    try:
        host = found["HostConfig"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert host["Tmpfs"] == {"/tmp": ""}
        ports = found["NetworkSettings"]["Ports"]
        assert {each["HostIp"] for each in (ports["8000/tcp"] + ports["8001/tcp"])} == {"127.0.0.1"}
    finally:
        bridged("rm", "--force", container)
        bridged("rmi", found["Config"]["Image"])


@pytest.mark.parametrize(("needed", "asked"), [("", ()), ("1000", ()), (str(2**27), ("b",))])
def test_shared_memory_is_what_the_models_need(base, needed, asked):
    config = {**base.config, "config": {"Env": [f"{SHARED_MEMORY}={needed}"]}}
    image = reading.ReadImage(config, (), AMD64, None, None, {})
    options = running.options(image, 0)
    assert ("--shm-size" in options) == bool(asked)
    if asked:
        assert options[-1] == f"{needed}b"


PODMAN = {
    "storage.conf": '[storage]\ndriver = "vfs"\ngraphroot = "{0}/data"\nrunroot = "{0}/run"\n',
    # What a machine without cgroups of version 2, and a test without all rights, can do.
    "containers.conf": '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
    '[engine]\ncgroup_manager = "cgroupfs"\nruntime = "runc"\n',
}


@pytest.fixture
def podman(tmp_path):
    """Podman with its own storage, and the command where it publishes its ports."""
    missing = [name for name in ("podman", "runc", "unshare") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and {', '.join(missing)}: apt-get install podman runc")
    for name, text in PODMAN.items():
        (tmp_path / name).write_text(text.format(tmp_path))
    return RunCommand(docker_engine.APART, {
        "CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf"),
        "CONTAINERS_CONF": str(tmp_path / "containers.conf"),
        "CLOCHE_HOME": str(tmp_path / "home"),
    })  # fmt: skip


@pytest.mark.parametrize(("value", "code"), [(0.0, 0), (1.0, 1)])
def test_podman_runs_it_as_docker_does(podman, images, value, code):
    path = images.write("out", images.base(SERVES, value))
    said = podman(path, "--engine", "podman", "--json").expect(code)
    assert (said.json["engine"], said.json["passed"]) == ("podman", not code)
    assert ("it serves" in said.err) == bool(code)
    for what in ("ps --all", "images"):
        words = ["podman", *what.split(), "--quiet"]
        done = subprocess.run(
            words, env={**os.environ, **podman.variables}, capture_output=True, check=True
        )  # fmt: skip
        assert done.stdout == b""


# ── what is refused ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """The error of the command in this process, with some variables."""

    def call(*words: str | Path, **variables: str) -> dict[str, str]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CLOCHE_HOME", str(tmp_path / "home"))
        capsys.readouterr()
        code = main(["image", "run", *map(str, words), "--json"])
        error = json.loads(capsys.readouterr().out)["error"]
        assert code in {1, 2}
        assert error["hint"]
        return error

    return call


def test_no_engine_is_told_with_what_to_install(refused):
    error = refused("out.tar", PATH="/nonexistent")
    assert error["code"] == "engine.missing"
    assert "docs.docker.com" in error["hint"]


def test_an_engine_that_does_not_answer(refused, docker):
    error = refused("out.tar", "--engine", "docker", DOCKER_HOST="unix:///nonexistent")
    assert error["code"] == "engine.unreachable"


def test_an_engine_on_another_machine(refused, docker):
    error = refused("out.tar", "--engine", "docker", DOCKER_HOST="tcp://192.0.2.1:2375")
    assert (error["code"], error["where"]) == ("engine.remote", "tcp://192.0.2.1:2375")


def test_an_engine_without_a_bridge_is_told_and_has_nothing_more(refused, docker, images):
    before = docker.holds()
    path = images.write("out", images.base(SERVES))
    error = refused(path, DOCKER_HOST=f"unix://{docker.socket}")
    assert error["code"] == "engine.network", error
    assert docker.holds() == before


def test_an_image_of_a_registry_is_pulled_by_its_digest(refused, docker, images, open_registry):
    """And is gone when it could not be run."""
    before = docker.holds()
    reference = f"{open_registry}/t{uuid.uuid4().hex[:8]}/scores:v1"
    images.push(reference)
    error = refused(reference, DOCKER_HOST=f"unix://{docker.socket}", DOCKER_CONFIG="/nonexistent")
    assert error["code"] == "engine.network"
    assert docker.holds() == before


def test_an_image_for_another_platform(refused, docker, images):
    path = images.write("out", images.base(SERVES, architecture="arm64"))
    error = refused(path, DOCKER_HOST=f"unix://{docker.socket}")
    assert error["code"] == "image.platform"
    assert "only for linux/arm64" in error["what"]


def test_an_image_of_others(refused, docker, tmp_path):
    path = tiny_base.layout(tmp_path / "theirs")
    error = refused(path, DOCKER_HOST=f"unix://{docker.socket}")
    assert error["code"] == "image.run.foreign"


def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ClocheError) as told:
        running.require_free(taken.getsockname()[1])
    assert told.value.code == "image.run.port"


def test_readiness_is_waited_for_until_a_limit():
    """By a clock that stands still until the container was looked at."""
    slept: list[float] = []

    class Loading:
        kind = "docker"

        def address(self, container: str, port: int) -> str:
            return "127.0.0.1:1"

        def state(self, container: str) -> State:
            return State(running=True, status=0)

    with pytest.raises(ClocheError) as told:
        running.wait_until_ready(
            Loading(), "it", None, 10, clock=lambda: sum(slept), sleep=slept.append
        )
    assert told.value.code == "image.run.late"
    assert sum(slept) == pytest.approx(10, abs=0.5)


def test_a_command_of_the_engine_has_a_limit():
    program = Program("/bin/sleep", os.environ)
    with pytest.raises(ClocheError) as told:
        program.run("600", limit=0.05)
    assert told.value.code == "engine.timeout"
    assert told.value.retriable


def test_a_command_that_fails_early_is_told_by_its_words():
    """It reads nothing of what it is given."""
    program = Program("/bin/sh", os.environ)
    done = program.feed("-c", "echo no room >&2; exit 4", chunks=[bytes(2**20), b"small"] * 4)
    assert (done.status, done.words) == (4, "no room")
    engine = engines.Engine("docker", Program("/bin/false", os.environ), "linux/amd64")
    with pytest.raises(ClocheError) as told:
        engine.load([b""])
    assert told.value.code == "engine.load"
