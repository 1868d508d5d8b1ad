"""Debian's packages: read in memory, laid out, and fetched from a mirror or the snapshots."""

from __future__ import annotations

import lzma
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import debs
import pytest

from cloche.artifacts import digest_of
from cloche.errors import ClocheError
from cloche.images.bases.debian import deb, fetching, filesystem, loader_cache, packages
from cloche.images.bases.debian.packages import Package
from cloche.images.layering.file_tree import FileTree, TreeFile, TreeFolder, TreeLink
from cloche.progress import SilentProgress
from cloche.store import Store

SMALL = debs.deb(debs.file("./usr/bin/small", b"program"))


def pin(data: bytes, name: str = "small") -> Package:
    path = f"debian-security/pool/updates/main/s/{name}_1+deb12u1~1_amd64.deb"
    return Package(name, "1+deb12u1~1", len(data), digest_of(data), path)


# ── one package ───────────────────────────────────────────────────────────────────────────────


def test_files_and_links_are_read() -> None:
    data = debs.deb(
        ("./", b"", tarfile.DIRTYPE), debs.file("./usr/bin/a", b"one"),
        ("./usr/bin/b", "./usr/bin/a", tarfile.LNKTYPE), debs.link("./bin/c", "/etc/../d"),
    )  # fmt: skip
    assert list(deb.files(data, "small")) == [
        deb.DebFile("usr/bin/a", b"one", executable=True),
        deb.DebFile("usr/bin/b", b"one", executable=True),
        deb.DebLink("bin/c", "/etc/../d"),
    ]
    assert deb.control(data, "small") == debs.CONTROL


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x7fELF" + bytes(100), id="something else"),
        pytest.param(SMALL[:-40], id="cut at the end"),
        pytest.param(SMALL[:100], id="cut in a header"),
        pytest.param(SMALL.replace(b"`\n", b"??", 1), id="header without its end"),
        pytest.param(SMALL.replace(b"data.tar.xz ", b"data.tar.zst"), id="other compression"),
        pytest.param(b"!<arch>\n" + debs.member("debian-binary", b"2.0\n"), id="no files"),
        pytest.param(
            b"!<arch>\n" + debs.member("data.tar.xz", lzma.compress(b"no tar" * 200)), id="no tar"
        ),
        pytest.param(
            b"!<arch>\n" + debs.member("data.tar.xz", lzma.compress(bytes(999))[:-9]), id="cut xz"
        ),
        pytest.param(debs.deb(debs.file("../etc/passwd")), id="path above"),
        pytest.param(debs.deb(debs.file("./usr/../../etc/passwd")), id="path above, hidden"),
        pytest.param(debs.deb(debs.file("/etc/passwd")), id="absolute path"),
        pytest.param(debs.deb(("./dev/null", "", tarfile.CHRTYPE)), id="device"),
        pytest.param(debs.deb(("./pipe", "", tarfile.FIFOTYPE)), id="pipe"),
        pytest.param(debs.deb(("./a", "/etc/shadow", tarfile.LNKTYPE)), id="hard link outside"),
        pytest.param(debs.deb(("./a", "./b", tarfile.LNKTYPE)), id="hard link to nothing"),
    ],
)
def test_what_is_no_package_is_refused(data: bytes) -> None:
    with pytest.raises(ClocheError) as caught:
        list(deb.files(data, "small 1"))
    assert (caught.value.code, caught.value.where) == ("image.debian.broken", "small 1")


def test_a_package_that_unpacks_to_too_much_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(deb, "_MOST", 2**16)
    data = debs.deb(debs.file("./zeros", bytes(2**20)))
    with pytest.raises(ClocheError, match="more than 65536 bytes"):
        list(deb.files(data, "small"))


# ── the file system ───────────────────────────────────────────────────────────────────────────


def test_files_lie_below_usr_and_needless_ones_are_left_out() -> None:
    data = debs.deb(
        debs.file("./bin/bash"), debs.file("./lib/x86_64-linux-gnu/libc.so.6"),
        debs.file("./usr/lib/x86_64-linux-gnu/gconv/libCNS.so"), debs.file("./usr/lib/libz.a"),
        debs.file("./usr/share/man/man1/bash.1.gz"), debs.file("./usr/share/doc/bash/NEWS.gz"),
        debs.file("./usr/share/doc/bash/copyright"), debs.link("./usr/share/doc/other", "bash"),
        debs.file("./etc/skel/.bashrc"), debs.file("./sbin/ldconfig"),
        debs.link("./lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"),
    )  # fmt: skip
    tree = filesystem.of_system([(pin(data, "bash"), data)])
    files = {path for path, entry in tree.entries.items() if isinstance(entry, TreeFile)}
    assert files == {
        "etc/passwd", "etc/group", "etc/nsswitch.conf", "etc/ld.so.cache", "usr/bin/bash",
        "usr/lib/x86_64-linux-gnu/libc.so.6", "usr/sbin/ldconfig",
        "usr/share/doc/bash/copyright", "var/lib/dpkg/status.d/bash",
    }  # fmt: skip
    links = {path: e.target for path, e in tree.entries.items() if isinstance(e, TreeLink)}
    assert links == {
        "bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64",
        "usr/lib64/ld-linux-x86-64.so.2": "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        "usr/share/doc/other": "bash",
    }  # fmt: skip
    assert tree.entries["tmp"] == TreeFolder(shared=True)


def test_python_is_laid_out_apart_from_the_system() -> None:
    library = "./usr/lib/python3.11"
    data = debs.deb(
        debs.file("./usr/bin/python3.11"), debs.file(f"{library}/json/__init__.py"),
        debs.file(f"{library}/test/support.py"), debs.file(f"{library}/testing.py"),
        debs.file(f"{library}/lib-dynload/_testcapi.cpython-311-x86_64-linux-gnu.so"),
        debs.file(f"{library}/lib-dynload/_json.cpython-311-x86_64-linux-gnu.so"),
    )  # fmt: skip
    python = [(pin(data, "python3.11-minimal"), data)]
    assert not [path for path in filesystem.of_system(python).entries if "python" in path]
    tree = filesystem.of_python(python).entries
    files = {path for path, entry in tree.items() if isinstance(entry, TreeFile)}
    assert files == {
        "usr/bin/python3.11", "usr/lib/python3.11/json/__init__.py",
        "usr/lib/python3.11/testing.py", "var/lib/dpkg/status.d/python3.11-minimal",
        "usr/lib/python3.11/lib-dynload/_json.cpython-311-x86_64-linux-gnu.so",
    }  # fmt: skip
    assert tree["usr/bin/python3"] == TreeLink("python3.11")


@pytest.mark.parametrize(("triplet", "said"), [
    ("x86_64-linux-gnu", "libc6,x86-64"), ("aarch64-linux-gnu", "libc6,AArch64"),
])  # fmt: skip
def test_the_loader_reads_the_cache(tmp_path: Path, triplet: str, said: str) -> None:
    ldconfig = shutil.which("ldconfig", path="/sbin:/usr/sbin")
    if ldconfig is None:
        pytest.skip("needs glibc's ldconfig: apt-get install libc-bin")
    folder = f"usr/lib/{triplet}"
    tree = FileTree()
    for name in ("libz.so.1.2.13", "libz2.so.10", "libz2.so.9", "libc.so.6", "python3.11"):
        tree.add(f"{folder}/{name}", TreeFile(b""))
    tree.add(f"{folder}/libz.so.1", TreeLink("libz.so.1.2.13"))
    (tmp_path / "cache").write_bytes(loader_cache.of_tree(tree))
    words = [ldconfig, "-p", "-C", tmp_path / "cache"]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[0].startswith("4 libs found")
    assert lines[1:5] == [
        f"\t{name} ({said}) => /{folder}/{name}"
        for name in ("libz2.so.10", "libz2.so.9", "libz.so.1", "libc.so.6")
    ]


@pytest.mark.parametrize(
    "path", ["a/b", "a/link/c", "a", "/a", "../a", "b/../c", "a//d", "", "a/file/e"]
)
def test_what_does_not_fit_into_a_tree_is_refused(path: str) -> None:
    tree = FileTree()
    tree.add("a/b", TreeFile(b""))
    tree.add("a/file", TreeFile(b""))
    tree.add("a/link", TreeLink("b"))
    with pytest.raises(ClocheError) as caught:
        tree.add(path, TreeFile(b"other"))
    assert caught.value.code == "image.tree"


# ── the pins, and mirrors ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_every_package_is_pinned_once(architecture: str) -> None:
    wanted = (packages._PINS.with_suffix(".in")).read_text().splitlines()
    names = [line for line in wanted if line and not line.startswith("#")]
    assert [package.name for package in packages.pinned(architecture)] == names
    assert packages.snapshot().startswith("20")


def test_another_platform_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ClocheError, match="riscv64") as caught:
        packages.pinned("riscv64")
    assert "linux/amd64, linux/arm64" in str(caught.value.hint)


class FileServer:
    """Serves bytes by path, and writes down what it was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                data = outer.files.get(self.path)
                self.send_response(200 if data is not None else 404)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, *words: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[FileServer]:
    started = FileServer()
    yield started
    started.stop()


PATH = "/debian-security/pool/updates/main/s/small_1%2Bdeb12u1~1_amd64.deb"
OLD = f"/debian-security/{packages.snapshot()}/pool/updates/main/s/small_1%2Bdeb12u1~1_amd64.deb"


def fetch(store: Store, server: FileServer, mirror: str | None = None) -> None:
    fetching.fetch(
        [pin(SMALL)], store, mirror or f"{server.url}/mirror", SilentProgress(),
        snapshots=f"{server.url}/archive",
    )  # fmt: skip


def test_a_package_comes_from_the_mirror_once(store: Store, server: FileServer) -> None:
    server.files = {f"/mirror{PATH}": SMALL}
    fetch(store, server)
    assert list(fetching.opened([pin(SMALL)], store)) == [(pin(SMALL), SMALL)]
    server.files.clear()
    fetch(store, server)
    assert server.asked == [f"/mirror{PATH}"]


@pytest.mark.parametrize(
    "there", [None, SMALL + b"more", SMALL[:-1], bytes(len(SMALL))],
    ids=["dropped", "longer", "shorter", "other bytes"],
)  # fmt: skip
def test_the_snapshots_have_what_the_mirror_has_not(
    store: Store, server: FileServer, there: bytes | None
) -> None:
    server.files = {f"/archive{OLD}": SMALL} | ({f"/mirror{PATH}": there} if there else {})
    fetch(store, server)
    assert store.read(pin(SMALL).digest) == SMALL
    assert server.asked == [f"/mirror{PATH}", f"/archive{OLD}"]


def test_the_snapshots_answer_for_a_mirror_that_does_not(store: Store, server: FileServer) -> None:
    server.files = {f"/archive{OLD}": SMALL}
    fetch(store, server, "http://127.0.0.1:9")
    assert store.use(pin(SMALL).digest)


def test_what_nobody_has_is_told_with_every_reason(store: Store, server: FileServer) -> None:
    server.files = {f"/archive{OLD}": bytes(len(SMALL))}
    with pytest.raises(ClocheError) as caught:
        fetch(store, server)
    assert caught.value.code == "image.debian.fetch"
    assert "does not have it. The bytes that arrived" in caught.value.what
    assert "images.debian_mirror" in str(caught.value.hint)
    assert not store.use(pin(SMALL).digest)
