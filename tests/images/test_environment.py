"""The environment of a model in its image."""

from __future__ import annotations

import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from cloche import environments
from cloche.artifacts import ContainerStart, Deployment, Lock, PythonStub
from cloche.errors import ClocheError
from cloche.images import building, content
from cloche.images.bases.base import Base
from cloche.images.destinations.layout import writing
from cloche.images.image import Platform
from cloche.images.layering import environment
from cloche.model_config.names import STUB_FILE
from cloche.progress import SilentProgress
from cloche.store import Store
from environments.wheels import PYTHON, index

SILENT = SilentProgress()
STUB = f"models/scores/{STUB_FILE}"
START = ContainerStart(
    b"#", {}, (), asking=("scores",),
    stubs={PYTHON: PythonStub("server/stub", (f"server/lib/libpython{PYTHON}.so.1.0",))},
)  # fmt: skip


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
    def call(
        base: Base, into: Store = store, environ: dict[str, str] = user
    ) -> environment.Environment:
        return environment.make(lock, base, START, into, SILENT, environ)

    return call


@pytest.fixture
def locked(deployment: Deployment, lock: Lock) -> Deployment:
    """The deployment, if its model ran in the environment."""
    repository = deployment.repository
    member = replace(repository.main, lock_digest=lock.digest)
    return replace(deployment, repository=replace(repository, members=(member,)))


def members(image, what: str) -> dict[str, tarfile.TarInfo]:
    layer = next(layer for layer in image.layers if getattr(layer, "what", None) == what)
    with tarfile.open(fileobj=io.BytesIO(b"".join(layer.chunks()))) as archive:
        return {member.name: member for member in archive}


def test_the_environment_is_a_layer_that_its_model_names(tmp_path, store, fitting, locked, make):
    digest = locked.repository.main.lock_digest
    contents = content.content_of(locked, fitting, START, {digest: make(fitting)}, store)
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
    linked = members(image, "model files")
    assert linked["models/scores/environment"].linkname == f"/{root}"
    assert STUB not in linked
    assert [layer.what for layer in image.layers[-3:]] == [what, "entrypoint", "model files"]


def test_it_is_made_once(tmp_path, user, fitting, make):
    first = make(fitting)
    assert (
        make(fitting, environ={**user, "UV_DEFAULT_INDEX": (tmp_path / "gone").as_uri()}) == first
    )


def test_two_homes_make_the_same(tmp_path, fitting, make):
    one, two = (make(fitting, into=Store(tmp_path / name)) for name in ("one", "two"))
    assert [layer.descriptor for layer in one.layers] == [layer.descriptor for layer in two.layers]


def test_a_base_with_its_stub_alone_gets_its_python(fitting, make):
    """The Python of this machine comes along, once for all models on it."""
    software = replace(fitting.software, pythons=("3.8",), stubs=(PYTHON,), glibc="9.0")
    made = make(replace(fitting, software=software))
    assert [link.path for link in made.place.links("m")] == [
        "models/m/environment",
        f"models/m/{STUB_FILE}",
    ]
    python, packages = made.layers
    with tarfile.open(fileobj=io.BytesIO(b"".join(python.chunks()))) as archive:
        files = {member.name: member.linkname for member in archive}
    prefix = f"cloche/pythons/{PYTHON}"
    assert f"{prefix}/lib/python{PYTHON}/os.py" in files
    assert any(name.startswith(f"{prefix}/lib/python{PYTHON}/__pycache__/os.") for name in files)
    assert files[f"server/lib/libpython{PYTHON}.so.1.0"].startswith(f"/{prefix}/lib/libpython")
    with tarfile.open(fileobj=io.BytesIO(b"".join(packages.chunks()))) as archive:
        links = {member.name: member.linkname for member in archive}
    assert f"/{prefix}/bin/python{PYTHON}" in links.values()


def test_a_python_for_a_newer_c_library_is_refused(fitting, make):
    software = replace(fitting.software, pythons=(), stubs=(PYTHON,), glibc="2.5")
    with pytest.raises(ClocheError) as refused:
        make(replace(fitting, software=software))
    assert refused.value.code == "environment.python"
    assert "the base has 2.5" in refused.value.what
    assert f"uv python install {PYTHON}" in refused.value.hint


def test_no_python_of_another_platform_comes_along(fitting, make):
    software = replace(fitting.software, pythons=("3.8",), stubs=(PYTHON,))
    foreign = replace(fitting, software=software, platform=Platform("linux", "riscv64"))
    with pytest.raises(ClocheError) as refused:
        make(foreign)
    assert refused.value.code == "image.python.platform"
    assert "linux/riscv64" in refused.value.what


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
