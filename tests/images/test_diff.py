"""In what two images differ: layers, files with whiteouts, settings, bytes that would travel."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import tiny_base
from tiny_base import Layout

from cloche.errors import ClocheError
from cloche.images.copying.difference import Side, compare, compare_files
from cloche.images.copying.overlay import Overlay
from cloche.images.image import LAYER, Descriptor
from cloche.images.sources import reading
from cloche.progress import SilentProgress
from fixtures.commands import Outcome

Run = Callable[..., Outcome]
SHARED = {"etc/passwd": b"root", "opt/old": b"old"}


def layer(files: Mapping[str, bytes | None], links: Mapping[str, str] | None = None) -> bytes:
    """A tar of files; None is a folder, and a link beginning with = is a hard one."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
            member.size = len(data or b"")
            tar.addfile(member, io.BytesIO(data or b""))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type = tarfile.LNKTYPE if target.startswith("=") else tarfile.SYMTYPE
            member.linkname = target.removeprefix("=")
            tar.addfile(member)
    return stream.getvalue()


def image(folder: Path, *layers: bytes, zipped: bool = True, **container: Any) -> str:
    """An image of layers; the folder."""
    layout = Layout(folder)
    config = {
        "architecture": "amd64", "os": "linux", "config": container,
        "rootfs": {"type": "layers", "diff_ids": [tiny_base.digest(each) for each in layers]},
        "history": [{"comment": f"layer {number}"} for number, _ in enumerate(layers)],
    }  # fmt: skip
    kind = "application/vnd.oci.image"
    stored = [
        layout.blob(gzip.compress(each, mtime=0), f"{kind}.layer.v1.tar+gzip")
        if zipped else layout.blob(each, f"{kind}.layer.v1.tar")
        for each in layers
    ]  # fmt: skip
    manifest = {
        "schemaVersion": 2, "mediaType": tiny_base.MANIFEST, "layers": stored,
        "config": layout.blob(json.dumps(config).encode(), f"{kind}.config.v1+json"),
    }  # fmt: skip
    layout.manifests = [layout.blob(json.dumps(manifest).encode(), tiny_base.MANIFEST)]
    layout.write_index()
    return str(folder)


def files_of(tmp_path: Path, a: list[bytes], b: list[bytes], *, zipped: bool = True) -> list[str]:
    """The differences of the files of two images, in a word each."""
    shared = layer(SHARED)
    first = reading.read(Path(image(tmp_path / "a", shared, *a, zipped=zipped)))
    second = reading.read(Path(image(tmp_path / "b", shared, *b)))
    found = compare_files(first, second, SilentProgress())
    assert not found.unread
    return [f"{each.change} {each.path} {each.size_a} {each.size_b}" for each in found.files]


@pytest.mark.parametrize("zipped", [True, False])
def test_files_by_their_content(tmp_path: Path, zipped: bool) -> None:
    a = layer({"m/1/x": b"same", "m/1/y": b"one", "m/1/z": b"gone", "./m/2": b"3"})
    b = layer({"m": None, "m/1/x": b"same", "/m/1/y": b"other", "m/1/ä": b"new", "m/2": b"4"})
    assert files_of(tmp_path, [a], [b], zipped=zipped) == [
        "changed m/1/y 3 5",
        "removed m/1/z 4 None",
        "added m/1/ä None 3",
        "changed m/2 1 1",
    ]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([], [layer({"etc/.wh.passwd": b""})], ["removed etc/passwd None None"]),
        ([layer({"etc/.wh.passwd": b""})], [], ["added etc/passwd None None"]),
        ([layer({"x": b"1"})], [layer({"x": b"1", "y": b""}), layer({".wh.x": b""})],
         ["removed x 1 None", "added y None 0"]),
        ([], [layer({"d/x": b"1", "d/e/y": b"1"}), layer({".wh.d": b""})], []),
        ([], [layer({"d/x": b"1", "e/y": b"1"}),
              layer({"d/.wh..wh..opq": b"", "d/z": b"12"})],
         ["added d/z None 2", "added e/y None 1"]),
        ([], [layer({"x": b"1"}), layer({".wh.x": b"", "x": b"23"})], ["added x None 2"]),
        ([layer({"x": b"1"}, {"l": "x"})], [layer({"x": b"1"}, {"l": "./x"})], ["changed l 0 0"]),
        ([layer({"x": b"1"}, {"l": "=x"})], [layer({"x": b"1", "l": b"1"})], []),
    ],
)  # fmt: skip
def test_whiteouts_and_links(
    tmp_path: Path, a: list[bytes], b: list[bytes], expected: list[str]
) -> None:
    assert files_of(tmp_path, a, b) == expected


def test_the_same_files_in_another_compression_are_not_read(tmp_path: Path) -> None:
    a = reading.read(Path(image(tmp_path / "a", layer(SHARED))))
    b = reading.read(Path(image(tmp_path / "b", layer(SHARED), zipped=False)))
    for path in (tmp_path / "a" / "blobs" / "sha256").iterdir():
        if path.name == a.layers[0].descriptor.digest[7:]:
            path.write_bytes(b"?" * a.layers[0].descriptor.size)
    found = compare(a, b)
    assert [each.side for each in found.layers] == [Side.A, Side.B]
    assert found.travels == b.layers[0].descriptor.size
    assert not compare_files(a, b, SilentProgress()).files


class Blob:
    """A layer of any bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.descriptor = Descriptor(LAYER, tiny_base.digest(data), len(data))

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        for offset in range(start, len(self.data), 2**16):
            yield self.data[offset : offset + 2**16]


def test_a_layer_by_zstd_is_told() -> None:
    with SilentProgress().task("") as task:
        assert not Overlay().add(Blob(b"\x28\xb5\x2f\xfd and so on"), task)


def damaged() -> Iterator[bytes]:
    whole = layer({"x": bytes(5000)})
    yield b"no tar" * 200
    yield whole[:2000]
    yield gzip.compress(whole)[:-20]
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, 2**31
    yield member.tobuf() + bytes(2**20)


@pytest.mark.parametrize("data", list(damaged()), ids=["text", "cut", "cut-gzip", "header"])
def test_what_is_no_layer(data: bytes) -> None:
    with SilentProgress().task("") as task, pytest.raises(ClocheError) as told:
        Overlay().add(Blob(data), task)
    assert told.value.code == "image.broken"


def test_memory_stays_flat() -> None:
    """A file that gzip makes a thousandth of, and many small ones."""
    files = {"x": bytes(192 * 2**20), **{f"f{number}": b"1" for number in range(2000)}}
    data = gzip.compress(layer(files), 1)
    del files
    tracemalloc.start()
    try:
        overlay = Overlay()
        with SilentProgress().task("") as task:
            overlay.add(Blob(data), task)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(overlay.files) == 2001
    assert peak < 48 * 2**20


# ── the command ───────────────────────────────────────────────────────────────────────────────


def test_references_layouts_and_archives_mixed(
    run: Run, tmp_path: Path, open_registry: str
) -> None:
    shared, weights = layer(SHARED), layer({"models/m/1/w": bytes(10_000)})
    said = {"Env": ["A=1", "B=2"], "Labels": {"x": "1"}, "User": "1000", "Entrypoint": ["/run"]}
    image(tmp_path / "a", shared, weights, **said)
    other = layer({"models/m/1/w": bytes(9_999) + b"1"})
    changed = {"Env": ["A=1", "B=3", "C=4"], "Labels": {}, "User": "0",
               "Entrypoint": ["/run", "a b"]}  # fmt: skip
    image(tmp_path / "b", shared, other, **changed)
    name = f"{open_registry}/{tmp_path.name.replace('_', '-')}:1"
    run("image", "push", "a", name).expect(0)
    run("image", "copy", "b", "b.tar").expect(0)
    found = run("image", "diff", name, "b.tar", "--json").expect(0).json
    assert not found["identical"]
    assert [(each["in"], each["what"]) for each in found["layers"]] == [
        ("both", "layer 0"), ("a", "layer 1"), ("b", "layer 1"),
    ]  # fmt: skip
    assert found["travels"] == found["layers"][2]["size"]
    (file,) = found["files"]
    assert file == {"path": "models/m/1/w", "change": "changed", "a": 10_000, "b": 10_000}
    assert [(each["setting"], each["a"], each["b"]) for each in found["settings"]] == [
        ("user", "1000", "0"),
        ("entrypoint", "/run", "/run 'a b'"),
        ("env B", "2", "3"),
        ("label x", "1", None),
        ("env C", None, "4"),
    ]
    table = run("image", "diff", name, "b").expect(0).out
    assert "changed  9.8 KiB  9.8 KiB  /models/m/1/w" in table
    bare = run("image", "diff", name, "b", "--no-files", "--json").expect(0).json
    assert (bare["files"], bare["travels"]) == (None, found["travels"])
    pushed = run("image", "push", "b.tar", name.replace(":1", ":2"), "--json").expect(0).json
    config = pushed["copied"] - found["travels"]
    assert 0 < config < 1000, "a push sends what the comparison said, and the configuration"


def test_identical_images_say_so(run: Run, tmp_path: Path) -> None:
    image(tmp_path / "a", layer(SHARED))
    run("image", "copy", "a", "a.tar").expect(0)
    assert "identical" in run("image", "diff", "a", "a.tar").expect(0).out
    found = run("image", "diff", "a", "a.tar", "--json").expect(0).json
    assert (found["identical"], found["travels"], found["files"], found["settings"]) == (
        True, 0, [], [],
    )  # fmt: skip


def test_platforms_may_differ(run: Run, tmp_path: Path) -> None:
    tiny_base.layout_of_both(tmp_path / "both")
    image(tmp_path / "a", layer(SHARED))
    words = ("image", "diff", "a", "both", "--json")
    found = run(*words, "--platform", "linux/arm64")
    assert json.loads(found.expect(1).out)["error"]["code"] == "image.platform"
    assert run(*words, "--platform", "linux/amd64").expect(0).json["files"]
