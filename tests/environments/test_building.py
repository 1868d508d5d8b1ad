"""Packages that exist only as source: built once, in a sandbox, and locked by their wheel."""

from __future__ import annotations

import io
import os
import shutil
import socket
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import source_packages
import wheels
from wheels import PYTHON

from cloche import environments
from cloche.artifacts import Lock, digest_of
from cloche.environments import build_walls, building, from_source, unpacking
from cloche.errors import ClocheError
from cloche.progress import SilentProgress
from cloche.store import Store
from fixtures.kernels import lacking

SILENT = SilentProgress()
SPY = """
import resource, socket, subprocess
said = {{"secret": os.environ.get("MY_SECRET"), "home": os.environ["HOME"],
         "memory": resource.getrlimit(resource.RLIMIT_AS)[0], "reached": []}}

def attempt(what, action):
    try:
        action()
    except (OSError, subprocess.CalledProcessError):
        return
    said["reached"].append(what)

attempt("network", lambda: socket.create_connection(("127.0.0.1", {port}), timeout=5).close())
attempt("read", lambda: open({path!r}).read())
attempt("list", lambda: os.listdir(os.path.dirname({path!r})))
attempt("write", lambda: open({path!r} + ".new", "w"))
attempt("make", lambda: os.mkdir({path!r} + ".folder"))
attempt("shadow", lambda: open("/etc/shadow").read())
attempt("variables", lambda: open("/proc/{pid}/environ", "rb").read())
attempt("its files", lambda: open("/proc/{pid}/root" + {path!r}).read())
attempt("services", lambda: [os.listdir("/run")[0]] if os.path.exists("/run") else None)
attempt("its own", lambda: open("made", "w").close())
attempt("programs", lambda: subprocess.run(["cat", {path!r}], check=True, capture_output=True))
MODULE = "SAID = " + repr(said)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An index of sources and one wheel."""
    made = tmp_path / "sources"
    made.mkdir()
    wheels.write(made, "leaf", "2.0")
    return made


@pytest.fixture
def user(tmp_path: Path, folder: Path) -> dict[str, str]:
    """The user's variables."""
    return {
        **os.environ, "UV_DEFAULT_INDEX": folder.as_uri(), "UV_CACHE_DIR": str(tmp_path / "cache"),
        "MY_SECRET": "hidden",
    }  # fmt: skip


@pytest.fixture
def locked(tmp_path: Path, user: dict[str, str]):
    def call(*lines: str, home: str = "store", environ: dict[str, str] = user) -> Lock:
        return environments.lock(
            lines, PYTHON, store=Store(tmp_path / home), progress=SILENT, environment=environ
        )

    return call


def read(store: Store, lock: Lock) -> dict[str, str]:
    """What the spying package found out while it was built."""
    (built,) = lock.built
    with zipfile.ZipFile(io.BytesIO(store.read(built.digest))) as wheel:
        module: dict[str, dict[str, str]] = {}
        exec(wheel.read(f"{built.name}.py"), module)
        return module["SAID"]


def test_the_lock_has_the_digest_of_the_wheel(tmp_path, folder, user, locked):
    source_packages.write(folder, "alone", "1.2", "leaf<3")
    lock = locked("alone")
    (built,) = lock.built
    assert (built.name, built.version, built.file) == ("alone", "1.2", "alone-1.2-py3-none-any.whl")
    assert f"alone==1.2 \\\n    --hash={built.digest}\n" in lock.text
    assert lock.packages == ("alone", "leaf")
    assert "--no-binary" not in lock.text
    assert digest_of(Store(tmp_path / "store").read(built.digest)) == built.digest
    (finding,) = lock.findings
    assert finding.code == "environment.built"
    assert "alone 1.2" in finding.what


def test_what_was_built_is_installed_with_no_source_at_hand(tmp_path, folder, user, locked):
    source_packages.write(folder, "alone", "1.2", "leaf<3")
    lock, store = locked("alone"), Store(tmp_path / "store")
    shutil.rmtree(folder / "alone")
    made = environments.materialize(
        lock, tmp_path / "environments", SILENT, environment=user, store=store
    )
    assert next(made.rglob("alone.py")).read_text() == "VERSION = '1.2'"
    with from_source.wheels(lock.built, store) as folder_of_wheels:
        unpacking.unpack(
            lock.text, tmp_path / "image", python=PYTHON, architecture="aarch64", glibc="2.36",
            environment=user, wheels=folder_of_wheels,
        )  # fmt: skip
    assert (tmp_path / "image" / "alone.py").is_file()


def test_two_homes_build_the_same(folder, locked):
    source_packages.write(folder, "alone", "1.2", compiled=bool(shutil.which("cc")))
    assert locked("alone", home="one") == locked("alone", home="two")


def test_it_is_built_once(folder, locked, monkeypatch):
    """By any name that another model has for it."""
    built = []
    really = building._build
    monkeypatch.setattr(building, "_build", lambda *given: built.append(given) or really(*given))
    source_packages.write(folder, "alone", "1.2")
    first = locked("alone")
    assert locked("alone==1.2", "leaf").built == first.built
    assert len(built) == 1


@pytest.fixture
def spied(tmp_path, folder, locked, user):
    """What a build finds out of the user's machine."""
    home = tmp_path / "home"
    (home / ".docker").mkdir(parents=True)
    secret = home / ".docker" / "config.json"
    secret.write_text("a token")

    def call() -> tuple[Lock, dict[str, Any]]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            more = SPY.format(
                port=server.getsockname()[1], path=str(secret), pid=os.getpid()
            )  # fmt: skip
            source_packages.write(folder, "spy", "1.0", more=more)
            lock = locked("spy", environ={**user, "HOME": str(home)})
        assert secret.read_text() == "a token"
        return lock, read(Store(tmp_path / "store"), lock)

    return call


def test_a_build_gets_nothing_of_the_user(tmp_path, spied):
    lock, said = spied()
    assert said["secret"] is None
    assert said["home"] != str(tmp_path / "home")
    assert 0 < said["memory"] <= 16 * 2**30
    (built,) = lock.built
    assert "its own" in said["reached"]
    if "files" not in built.reached:  # of an old kernel it is told
        assert set(said["reached"]) <= {"its own", "network"}
    # Other users than root may be kept from making namespaces, which is told.
    assert ("network" in said["reached"]) == ("network" in built.reached)
    assert os.geteuid() != 0 or "network" not in built.reached


def test_what_a_kernel_cannot_close_is_told(tmp_path, spied, monkeypatch):
    """As one without Landlock and namespaces of users answers."""
    lacking(tmp_path, monkeypatch, "libc.unshare(", "libc.syscall(", "libc.prctl(")
    lock, said = spied()
    assert lock.built[0].reached == ("network", "files")
    assert {"network", "read", "list"} <= set(said["reached"])
    note, warning = lock.findings
    assert (note.code, warning.code) == ("environment.built", "environment.build_open")
    assert "files and the network when spy was built" in warning.what


@pytest.mark.parametrize(
    ("variables", "there", "absent"),
    [
        ({"PATH": "/usr/bin:/home/a/tools/bin:bin:"}, "/home/a/tools/lib", "bin"),
        ({"PATH": "/home/a"}, "/usr", "/home/a"),
        ({"PATH": "/home"}, "/usr", "/home"),
        ({"PATH": "/home/a/home/bin"}, "/home/a/home/bin", "/home/a/home"),
        ({"CFLAGS": "-O2 -I/srv/include -L /srv/lib"}, "/srv/include", "-L"),
        ({"CC": "/srv/bin/cc", "CPATH": "/srv/more:"}, "/srv/more", ""),
        ({"CC": "/srv/bin/cc"}, "/srv/bin/cc", "/"),
        ({"CMAKE_PREFIX_PATH": "/home/a/.local:/home/a"}, "/home/a/.local", "/home/a"),
    ],
)
def test_what_a_build_reads(variables, there, absent):
    user = {"HOME": "/home/a", "CLOCHE_HOME": "/home/a/home", **variables}
    read = build_walls.readable(Path("/usr/bin/python3"), ["/home/a/.local/bin/uv"], user)
    assert there in read
    assert absent not in read
    assert "/home/a/.local/bin/uv" in read
    assert not {"/", "/etc", "/tmp", "/run", "/root", "/home", "/home/a"} & set(read)


def test_a_source_that_a_source_needs_is_built(folder, locked):
    source_packages.write(folder, "outer", "1.0", "inner")
    source_packages.write(folder, "inner", "3.0", "leaf")
    lock = locked("outer")
    assert [wheel.name for wheel in lock.built] == ["outer", "inner"]
    assert lock.packages == ("inner", "leaf", "outer")


def test_several_sources_are_built(folder, locked):
    source_packages.write(folder, "one", "1.0")
    source_packages.write(folder, "two", "1.0")
    source_packages.write(folder, "three", "1.0", "four")
    source_packages.write(folder, "four", "1.0")
    lock = locked("one", "--no-binary one", "leaf", "two", "three")
    assert {wheel.name for wheel in lock.built} == {"one", "two", "three", "four"}


def test_a_recorded_no_binary_is_built_though_there_is_a_wheel(folder, locked):
    source_packages.write(folder, "leaf", "2.0")
    (folder / "leaf" / "index.html").write_text(
        "".join(f'<a href="{each.name}">a</a>' for each in (folder / "leaf").glob("leaf-*"))
    )
    assert not locked("leaf").built
    lock = locked("leaf", "--no-binary leaf")
    assert [wheel.name for wheel in lock.built] == ["leaf"]
    assert lock.text.count("--hash") == 1


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler: apt install gcc")
def test_what_was_compiled_knows_its_machine(tmp_path, folder, user, locked):
    source_packages.write(folder, "native", "1.0", compiled=True)
    lock, store = locked("native"), Store(tmp_path / "store")
    (built,) = lock.built
    assert built.file.endswith(f"-linux_{os.uname().machine}.whl")
    assert built.glibc is not None
    with from_source.wheels(lock.built, store) as folder_of_wheels:
        unpacking.unpack(
            lock.text, tmp_path / "image", python=PYTHON, architecture=os.uname().machine,
            glibc="2.36", environment=user, wheels=folder_of_wheels,
        )  # fmt: skip
    native = tmp_path / "image" / "native_native.so"
    assert str(tmp_path).encode() not in native.read_bytes()


def test_a_build_that_fails_is_told(folder, locked):
    source_packages.write(folder, "broken", "1.0", more="raise SystemExit('no compiler, alas')")
    with pytest.raises(ClocheError) as caught:
        locked("broken")
    assert caught.value.code == "environment.build"
    assert "broken 1.0 exists only as source" in caught.value.what
    assert "no compiler, alas" in caught.value.what
    assert "build-essential" in caught.value.hint


def test_a_source_that_leads_out_is_refused(tmp_path, folder, locked):
    """A path with `..` in an archive is written nowhere."""
    path = source_packages.write(folder, "evil", "1.0")
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("evil-1.0/../../../../escaped")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(ClocheError) as caught:
        locked("evil")
    assert caught.value.code == "environment.build"
    assert not list(tmp_path.parent.rglob("escaped"))


def test_a_source_with_another_digest_than_recorded_is_refused(folder, locked):
    source_packages.write(folder, "alone", "1.2")
    with pytest.raises(ClocheError) as caught:
        locked(f"alone==1.2 --hash=sha256:{'0' * 64}")
    assert caught.value.code == "environment.digest"


def test_a_wheel_that_is_gone_is_built_again_or_named(tmp_path, folder, user, locked):
    source_packages.write(folder, "alone", "1.2")
    lock, store = locked("alone"), Store(tmp_path / "store")
    with (
        pytest.raises(ClocheError) as caught,
        from_source.wheels(lock.built, Store(tmp_path / "other")),
    ):
        pass
    assert caught.value.code == "environment.wheel"
    store.blob_path(lock.built[0].digest).unlink()
    assert locked("alone") == lock
    assert store.use(lock.built[0].digest)


@pytest.mark.parametrize("option", ["--only-binary alone", "--only-binary :all:"])
def test_a_recorded_only_binary_is_kept(folder, locked, option):
    source_packages.write(folder, "alone", "1.2")
    with pytest.raises(ClocheError) as caught:
        locked("alone", option)
    assert caught.value.code == "environment.unresolvable"
    assert "alone" in caught.value.what
