"""A deployment whose model was not run, and bases to put it on."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import docker_engine
import numpy as np
import onnx
import own_base
import pytest
import tiny_base
from docker_engine import Docker
from image_output import Output
from run_command import RunCommand

from cloche import composition, pipeline, spec
from cloche.artifacts import (
    Conversion,
    Deployment,
    FileEntry,
    Finding,
    Golden,
    Judge,
    Lock,
    Parity,
    RequestOrigin,
    Severity,
    digest_of_files,
    digest_of_lock,
)
from cloche.cli import main
from cloche.images.bases import base as bases
from cloche.images.bases.base import Base
from cloche.images.image import Image, Platform
from cloche.pipeline.image import registries
from cloche.progress import SilentProgress
from cloche.settings import Settings
from cloche.store import Store
from cloche.verification import bodies
from fixtures.cache import cache_folder
from fixtures.commands import Outcome
from fixtures.registries import logged_in, nobody
from formats.onnx_models import mlp

AMD64 = Platform("linux", "amd64")


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """A real engine whose containers have no network."""
    yield from _engine(bridge=False)


@pytest.fixture(scope="session")
def bridged() -> Iterator[Docker]:
    """A real engine that publishes ports, in a network of its own."""
    yield from _engine(bridge=True)


def _engine(*, bridge: bool) -> Iterator[Docker]:
    if why := docker_engine.missing():
        pytest.skip(why)
    with docker_engine.running(bridge=bridge) as engine:
        yield engine


@pytest.fixture(scope="session")
def kept() -> Settings:
    """A home that stays, so that the parts of Cloche's own base are fetched once.

    Layers are remembered in it: where what they hold changes and `_FORM` does not, the test that
    makes them anew tells.
    """
    return Settings(home=cache_folder() / "base")


@pytest.fixture(scope="session")
def made(kept: Settings) -> Image:
    """Cloche's own base."""
    return own_base.make(kept, AMD64)


@pytest.fixture
def image_run(bridged: Docker, tmp_path: Path) -> Iterator[RunCommand]:
    """`cloche image run`; at the end of a test the engine has what it had before."""
    told = {"DOCKER_HOST": f"unix://{bridged.socket}", "CLOCHE_HOME": str(tmp_path / "home")}
    command = RunCommand(bridged.inside, told)
    before = bridged.holds()
    yield command
    assert bridged.holds() == before


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The settings of an empty home."""
    return Settings(home=tmp_path / "home")


@pytest.fixture
def store(settings: Settings) -> Store:
    """The store of that home."""
    return composition.store(settings)


@pytest.fixture
def deployment(tmp_path: Path, settings: Settings) -> Deployment:
    """A small ONNX model, prepared without asking it anything."""
    path = tmp_path / "scores.onnx"
    onnx.save(mlp(), path)
    return pipeline.prepare(
        spec.from_reference(str(path), None, directory=tmp_path),
        directory=tmp_path, settings=settings, progress=SilentProgress(), run_model=False,
    )  # fmt: skip


@pytest.fixture
def asked(deployment: Deployment, store: Store) -> Deployment:
    """The deployment with a golden request, as an earlier run left it."""
    request = bodies.keep({"x": np.ones((2, 64), np.float32)}, "inputs", store)
    expected = bodies.keep({"y": np.zeros((2, 10), np.float32)}, "outputs", store)
    found = Golden(
        RequestOrigin.MADE, Judge.REFERENCE, (request,), expected, noise={"y": 1e-7}
    )  # fmt: skip
    return replace(deployment, golden=found)


@pytest.fixture
def told(asked: Deployment) -> Deployment:
    """The deployment as if its file were a conversion that a run had measured."""
    (model,) = [file for file in asked.repository.files if file.path.endswith(".onnx")]
    files = (FileEntry("model.onnx", model.size, model.digest),)
    parity = Parity("y", "FP32", 20, 7.2, 7e-4, 5e-6, 1e-6, 2e-5, labels=(20, 20))
    made = Conversion(digest_of_files(files), files, "model.onnx", "a converter", (parity,), 6)
    text = "onnx==1.22.0 --hash=sha256:00\n"
    lock = Lock(digest_of_lock("3.11", text), "3.11", text, of="a" * 64)
    where = asked.main.snapshot.pinned
    noted = Finding(Severity.NOTE, "conversion.note", f"{where} was read.", where=where)
    facts = replace(asked.main.facts, findings=(*asked.main.facts.findings, noted))
    member = replace(asked.main, facts=facts, conversion=made, lock=lock)
    return replace(asked, members=(member,), verdict="5e" * 32)


@pytest.fixture(params=["out", "out.tar", "open_registry", "old_registry"])
def output(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    base: Base,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Output]:
    """Each place that an image goes to; the old registry lists no referrers itself."""
    name: str = request.param
    host = request.getfixturevalue(name) if name.endswith("registry") else None
    place = f"t{uuid.uuid4().hex[:12]}/scores" if host else name
    environment = logged_in(tmp_path, host) if host else nobody()
    monkeypatch.setenv("DOCKER_CONFIG", environment.get("DOCKER_CONFIG", str(tmp_path / "none")))
    with registries(environment) as opened:
        yield Output(place, tmp_path, base, settings, opened, host)


@pytest.fixture
def base(tmp_path: Path) -> Base:
    """The base that is written by hand."""
    return bases.read(str(tiny_base.layout(tmp_path / "base")), AMD64)


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Run one command line in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOCHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*words: str) -> Outcome:
        capsys.readouterr()
        code = main(list(words))
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path) -> Iterator[None]:
    """Temporary names are gone at the end of every test."""
    yield
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.fixture
def with_server(tmp_path, triton_installation):
    """A home whose server is installed: it answers the request that shows how a model batches."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "servers").symlink_to(cache_folder() / "servers")
