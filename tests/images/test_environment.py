"""The environment of a model in its image."""

from __future__ import annotations

import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from cloche import environments
from cloche.artifacts import ContainerStart, Deployment, Lock
from cloche.errors import ClocheError
from cloche.images import building, content, environment
from cloche.images.base import Base
from cloche.images.layout import writing
from cloche.progress import SilentProgress
from cloche.store import Store
from environments.wheels import PYTHON, index

SILENT = SilentProgress()
MODELS_LINK = "models/scores/environment"


@pytest.fixture
def user(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, **index(tmp_path / "index")}


@pytest.fixture
def lock(store: Store, user: dict[str, str]) -> Lock:
    return environments.lock(("branch",), PYTHON, store=store, progress=SILENT, environment=user)


@pytest.fixture
def fitting(base: Base) -> Base:
    """A base that has the Python of the tests."""
    return replace(base, software=replace(base.software, pythons=(PYTHON,), glibc="2.36"))


@pytest.fixture
def make(lock: Lock, store: Store, user: dict[str, str]):
    def call(base: Base) -> environment.Environment:
        return environment.make(lock, base, store, SILENT, user)

    return call


@pytest.fixture
def locked(deployment: Deployment, lock: Lock) -> Deployment:
    """The deployment, if its model ran in the environment."""
    repository = deployment.repository
    member = replace(repository.main, lock_digest=lock.digest)
    return replace(deployment, repository=replace(repository, members=(member,)))


def members(image, what: str) -> dict[str, tarfile.TarInfo]:
    layer = next(layer for layer in image.layers if getattr(layer, "layer", None)
                 and layer.layer.what == what)  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(b"".join(layer.chunks()))) as archive:
        return {member.name: member for member in archive}


def test_the_environment_is_a_layer_that_its_model_names(tmp_path, store, fitting, locked, make):
    start = ContainerStart(b"#", {}, (), asking=("scores",))
    digest = locked.repository.main.lock_digest
    contents = content.content_of(locked, fitting, start, {digest: make(fitting)}, store)
    with writing(tmp_path / "out") as destination:
        image = building.build(contents, fitting, store, destination, SILENT)
    what = f"environment of Python {PYTHON}, 2 packages"
    files = members(image, what)
    root = f"cloche/environments/{digest[7:23]}"
    packages = f"{root}/lib/python{PYTHON}/site-packages"
    assert {f"{packages}/leaf.py", f"{root}/pyvenv.cfg", f"{root}/bin/activate"} <= set(files)
    assert any(name.startswith(f"{packages}/__pycache__/leaf.") for name in files)
    assert files[f"{root}/bin/python3"].linkname == f"python{PYTHON}"
    assert files[f"{root}/bin/python{PYTHON}"].linkname == f"/usr/bin/python{PYTHON}"
    assert members(image, "model files")[MODELS_LINK].linkname == f"/{root}"
    assert [layer.layer.what for layer in image.layers[-3:]] == ["entrypoint", what, "model files"]


def test_it_is_made_once(tmp_path, store, fitting, lock, user):
    first = environment.make(lock, fitting, store, SILENT, user)
    offline = {**user, "UV_DEFAULT_INDEX": (tmp_path / "gone").as_uri()}
    assert environment.make(lock, fitting, store, SILENT, offline) == first


def test_two_homes_make_the_same(tmp_path, fitting, lock, user):
    one, two = (
        environment.make(lock, fitting, Store(tmp_path / name), SILENT, user)
        for name in ("one", "two")
    )
    assert one == two


@pytest.mark.parametrize(
    ("pythons", "said", "hint"),
    [
        (("3.7",), "the base has Python 3.7", '`python: "3.7"`'),
        ((), "the base has no Python that it names", "cloche.base.pythons"),
    ],
)
def test_a_base_without_its_python_is_refused(base, make, pythons, said, hint):
    other = replace(base, software=replace(base.software, pythons=pythons))
    with pytest.raises(ClocheError) as refused:
        make(other)
    assert refused.value.code == "image.python"
    assert said in refused.value.what
    assert hint in refused.value.hint
