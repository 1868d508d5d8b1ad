"""The environment of a model in its image."""

from __future__ import annotations

import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import own_base
import pytest

from cloche import composition, environments
from cloche.artifacts import BuiltWheel, ContainerStart, Deployment, Lock, PythonStub
from cloche.environments import compilers, interpreters
from cloche.errors import ClocheError
from cloche.images import building, content
from cloche.images.bases.base import Base
from cloche.images.bases.debian import packages
from cloche.images.destinations.layout import writing
from cloche.images.image import Platform
from cloche.images.layering import environment
from cloche.images.layering.compiling import Sources
from cloche.model_config.names import STUB_FILE
from cloche.progress import SilentProgress
from cloche.settings import Settings
from cloche.store import Store
from environments.wheels import PYTHON, index, write

SILENT = SilentProgress()
MIRROR = "http://127.0.0.1:9"
"""No mirror of Debian."""
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
        return environment.make(lock, base, START, into, SILENT, Sources(MIRROR, environ))

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


# ── which Python compiles ─────────────────────────────────────────────────────────────────────

MATCHED = """
def word(value):
    match value:
        case int():
            found = "number"
        case _:
            raise ValueError
    return found
"""
"""A function that 3.11.2 and 3.11.7 compile to other bytes."""


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch):
    """Let this machine have one Python, and no network to fetch another."""

    def call(path: Path, release: str) -> None:
        monkeypatch.setattr(interpreters, "installed", lambda *_: iter([(path, release)]))
        monkeypatch.setattr(compilers, "downloaded", lambda *_: None)

    return call


@pytest.fixture
def pythons(tmp_path: Path) -> list[tuple[Path, str]]:
    """Two Pythons of this machine with one version and different patch releases."""
    found = list(interpreters.installed(PYTHON, dict(os.environ), tmp_path))
    if len(found) < 2 or PYTHON != packages.PYTHON:
        pytest.skip("needs two releases of Python 3.11, such as Debian's beside one of pyenv")
    return found[:2]


@pytest.fixture
def matching(tmp_path: Path, store: Store) -> tuple[Lock, dict[str, str]]:
    """A lock whose bytecode tells which release compiled it, and the user that has its index."""
    (folder := tmp_path / "matched").mkdir()
    write(folder, "word", "1.0", code=MATCHED)
    user = {**os.environ, "UV_DEFAULT_INDEX": folder.as_uri(), "UV_CACHE_DIR": f"{folder}-cache"}
    made = environments.lock(("word",), PYTHON, store=store, progress=SILENT, environment=user)
    return made, user


@pytest.mark.usefixtures("made")
def test_machines_with_other_patch_releases_make_the_same(  # noqa: PLR0917 - fixtures
    tmp_path, only, fitting, matching, kept, pythons
):
    """What a machine has by chance counts nothing: the chosen release compiles, or Debian's."""
    digests = []
    for path, release in pythons:
        only(path, release)
        there = Settings(tmp_path / f"home-{release}")
        own_base.bring_packages(kept, there)
        lock, user = matching
        environ = environment.make(
            lock, fitting, START, composition.store(there), SILENT, Sources(MIRROR, user)
        )
        assert not environ.findings
        digests.append([layer.descriptor for layer in environ.layers])
    assert digests[0] == digests[1]


def test_another_release_that_compiles_is_told(tmp_path, only, fitting, matching, pythons):
    """With no mirror and no network the packages are compiled all the same."""
    lock, user = matching
    sources, digests = Sources(MIRROR, user), set()
    for path, release in pythons:
        only(path, release)
        into = Store(tmp_path / release)
        found = environment.make(lock, fitting, START, into, SILENT, sources)
        digests.add(found.layers[-1].descriptor.digest)
        assert environment.known(lock, fitting, START, into, user) == found
        if release == compilers.RELEASES[PYTHON]:
            assert not found.findings
            continue
        (finding,) = found.findings
        assert finding.code == "image.bytecode"
        assert release in finding.what
        assert f"uv python install {compilers.RELEASES[PYTHON]}" in finding.hint
        assert found.layers[-1].what.endswith(f"compiled by {release}")
    assert len(digests) == 2


def test_what_every_machine_makes_is_taken_from_the_store(only, fitting, matching, store, pythons):
    """A machine that has another release asks for no compiler once the layer is there."""
    lock, user = matching
    chosen = compilers.RELEASES[PYTHON]
    first = next(((path, release) for path, release in pythons if release == chosen), None)
    if first is None:
        pytest.skip(f"needs Python {chosen}")
    only(*first)
    made = environment.make(lock, fitting, START, store, SILENT, Sources(MIRROR, user))
    only(Path("/nowhere"), "3.11.99")
    assert environment.make(lock, fitting, START, store, SILENT, Sources(MIRROR, user)) == made


@pytest.mark.parametrize(
    ("file", "glibc", "said"),
    [
        (
            "native-1.0-cp311-cp311-linux_riscv64.whl",
            "2.17",
            "for another platform than linux/amd64",
        ),
        (
            "native-1.0-cp311-cp311-linux_x86_64.whl",
            "2.99",
            "for glibc 2.99, and the base has 2.36",
        ),
    ],
)
def test_a_package_that_was_built_for_other_systems_is_named(  # noqa: PLR0917 - fixtures
    fitting, lock, store, user, file, glibc, said
):
    wheel = BuiltWheel("native", "1.0", file, f"sha256:{'0' * 64}", 1, glibc)
    other = replace(lock, built=(wheel,))
    with pytest.raises(ClocheError) as refused:
        environment.make(other, fitting, START, store, SILENT, Sources(MIRROR, user))
    assert refused.value.code == "image.built"
    assert "native 1.0 exists only as source" in refused.value.what
    assert said in refused.value.what
