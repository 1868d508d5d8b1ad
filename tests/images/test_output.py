"""Layouts and archives: whole or not there, nothing written twice, the same bytes again."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import tiny_base

from cloche import pipeline, spec
from cloche.artifacts import FileEntry
from cloche.errors import ClocheError
from cloche.images import building, image, names
from cloche.images.content import Content
from cloche.images.layering.layers import LARGE, LayerFile
from cloche.images.sources import reading
from cloche.pipeline.image import destination_of, write_image
from cloche.progress import SilentProgress
from formats.onnx_models import mlp

SILENT = SilentProgress()


@pytest.fixture
def build(deployment, base, settings):
    """Build the image of the deployment into a path; return its digest."""

    def call(output: Path, progress=SILENT) -> str:
        made = write_image(deployment, [base], output, settings=settings, progress=progress)
        return made.digest

    return call


def files_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_ino)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("output", ["out", "out.tar", "new/folder/out"])
def test_what_is_written_is_read_back(tmp_path, build, base, deployment, output):
    digest = build(tmp_path / output)
    found = reading.read(tmp_path / output)
    assert found.digest == digest
    assert found.name == "docker.io/library/scores:latest"
    assert found.annotations["cloche.model.digest"] == deployment.main.snapshot.digest
    assert found.annotations["org.opencontainers.image.base.name"] == "example.com/triton:26.07"
    assert "cloche.model.reference" not in found.annotations, "a path says nothing elsewhere"
    assert found.layers[0].descriptor == base.layers[0].descriptor
    served = {f"models/{file.path}": file for file in deployment.repository.files}
    for layer, diff_id in zip(found.layers, found.config["rootfs"]["diff_ids"], strict=True):
        data = b"".join(layer.chunks())
        assert tiny_base.digest(data) == layer.descriptor.digest
        if layer.descriptor.media_type == image.LAYER:
            assert diff_id == layer.descriptor.digest
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = {member.name: member for member in archive if member.isfile()}
        assert {
            name: FileEntry(served[name].path, member.size,
                            tiny_base.digest(archive.extractfile(member).read()))
            for name, member in members.items()
        } == served  # fmt: skip


def test_a_finished_repository_is_kept_byte_for_byte(tmp_path, base, settings):
    """Names that are long, or not ASCII, and models beside the first one."""
    folder, texts = tmp_path / "repository", {}
    for model in ("first", "second"):
        version = folder / model / "1"
        version.mkdir(parents=True)
        onnx.save(mlp(), version / "model.onnx")
        for name in ("größe.txt", "n" * 200):
            (version / name).write_text(name)
        config = f'name: "{model}"\nbackend: "onnxruntime"\nmax_batch_size: 8\n'
        (folder / model / "config.pbtxt").write_text(config)
    for path in folder.rglob("*"):
        if path.is_file():
            texts[f"models/{path.relative_to(folder)}"] = path.read_bytes()
    deployment = pipeline.prepare(
        spec.from_reference(str(folder), "first", directory=tmp_path),
        directory=tmp_path, settings=settings, progress=SILENT, run_model=False,
    )  # fmt: skip
    write_image(deployment, [base], tmp_path / "out", settings=settings, progress=SILENT)
    data = b"".join(reading.read(tmp_path / "out").layers[-1].chunks())
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = {each.name: archive.extractfile(each).read() for each in archive if each.isfile()}
    assert files == texts


def test_nothing_is_written_twice(tmp_path, build):
    first = build(tmp_path / "out")
    before = files_of(tmp_path / "out")
    assert build(tmp_path / "out") == first
    after = files_of(tmp_path / "out")
    blobs = {name for name in before if name.startswith("blobs/")}
    assert {name: before[name] for name in blobs} == {name: after[name] for name in blobs}
    assert {name: data for name, (data, _) in before.items()} == {
        name: data for name, (data, _) in after.items()
    }


def test_an_archive_is_the_same_every_time(tmp_path, build):
    build(tmp_path / "a.tar")
    build(tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_images_of_other_services_stay_in_a_layout(tmp_path, build):
    folder = tmp_path / "out"
    layer = tiny_base.rootfs()
    other = tiny_base.Layout(folder).image(layer, tiny_base.configuration(layer), "other")
    digest = build(folder)
    index = json.loads((folder / "index.json").read_bytes())
    named = [each for each in index["manifests"] if "artifactType" not in each]
    assert [each["digest"] for each in named] == [other, digest]


# ── what fails leaves nothing ─────────────────────────────────────────────────────────────────


class Failing:
    """Progress that fails after some bytes, as ctrl-C does."""

    def __init__(self, after: int) -> None:
        self._left = after

    def task(self, title: str, total: int | None = None):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None: ...

    def note(self, text: str) -> None: ...

    def advance(self, amount: int) -> None:
        self._left -= amount
        if self._left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [0, 2_000, 12_000])
@pytest.mark.parametrize("output", ["out", "out.tar"])
def test_an_interrupted_build_leaves_nothing(tmp_path, build, after, output):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / output, Failing(after))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
@pytest.mark.parametrize("output", ["out", "out.tar"])
def test_a_full_disk_is_told_and_nothing_is_left(tmp_path, build, output):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", disk], check=True)
    try:
        with pytest.raises(ClocheError) as told:
            build(disk / output)
        assert (told.value.code, told.value.where) == ("image.full", str(disk / output))
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("after", [0, 12_000])
def test_an_interrupted_build_leaves_a_layout_as_it_was(tmp_path, build, after):
    folder = tmp_path / "out"
    layer = b"other" * 1000
    tiny_base.Layout(folder).image(layer, tiny_base.configuration(layer), "other")
    before = files_of(folder)
    with pytest.raises(KeyboardInterrupt):
        build(folder, Failing(after))
    assert files_of(folder) == before


def test_an_archive_that_is_there_stays_until_the_new_one_is_whole(tmp_path, build):
    path = tmp_path / "out.tar"
    build(path)
    earlier = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        build(path, Failing(100))
    assert path.read_bytes() == earlier


def test_other_things_are_not_written_over(tmp_path, build):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("words")
    for name in ("file", "thesis.tar"):
        (tmp_path / name).write_text("words")
    (tmp_path / "folder.tar").mkdir()
    for name in ("folder", "file", "thesis.tar", "folder.tar"):
        with pytest.raises(ClocheError) as refused:
            build(tmp_path / name)
        assert refused.value.code == "image.output"
    for name in ("folder/thesis.txt", "file", "thesis.tar"):
        assert (tmp_path / name).read_text() == "words"


def test_a_damaged_base_is_found_before_anything_is_named(tmp_path, build):
    blobs = (tmp_path / "base" / "blobs" / "sha256").iterdir()
    layer = max(blobs, key=lambda path: path.stat().st_size)
    layer.write_bytes(b"x" + layer.read_bytes()[1:])
    with pytest.raises(ClocheError) as found:
        build(tmp_path / "out")
    assert found.value.code == "image.changed"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_layout_with_a_damaged_index_stays_as_it_is(tmp_path, build, text):
    tiny_base.Layout(tmp_path / "out")
    (tmp_path / "out" / "index.json").write_text(text)
    before = files_of(tmp_path / "out")
    with pytest.raises(ClocheError) as found:
        build(tmp_path / "out")
    assert found.value.code == "image.broken"
    assert files_of(tmp_path / "out") == before


# ── large files ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def weighty(tmp_path, store) -> Content:
    """A model with two weight files of a size from which on each has a layer; both are sparse."""
    files = []
    for name in ("a", "b"):
        path = tmp_path / name
        with path.open("wb") as file:
            file.write(name.encode())
            file.truncate(LARGE)
        entry = store.add_file(path)
        files.append(LayerFile(f"models/m/1/{name}", entry.size, entry.digest))
    script = LayerFile("cloche/entrypoint", 1, store.add_bytes(b"#"), executable=True)
    return Content("weighty", tuple(files), script, {}, (8000,), {})


def test_an_unchanged_weight_file_is_the_same_layer(tmp_path, store, base, weighty):
    """Of the second version only the other file's layer, manifest and configuration are new."""
    with destination_of(tmp_path / "out") as destination:
        made = building.build(weighty, base, store, destination, SILENT)
        building.finish([made], destination, names.of_service("weighty"))
    blobs = tmp_path / "out" / "blobs" / "sha256"
    before = {path.name for path in blobs.iterdir()}
    with (tmp_path / "b").open("r+b") as file:
        file.write(b"c")
    os.utime(tmp_path / "b")
    entry = store.add_file(tmp_path / "b")
    changed = replace(weighty.repository[1], digest=entry.digest)
    second = replace(weighty, repository=(weighty.repository[0], changed))
    with destination_of(tmp_path / "out") as destination:
        made = building.build(second, base, store, destination, SILENT)
        building.finish([made], destination, names.of_service("weighty"))
    new = [path for path in blobs.iterdir() if path.name not in before]
    sizes = sorted(path.stat().st_size for path in new)
    assert len(new) == 3
    assert sum(sizes) < 1.01 * LARGE


@pytest.mark.parametrize("output", ["/proc/out.tar", "/proc/out", "/dev/null/out.tar"])
def test_a_place_that_takes_no_files_is_told(build, output):
    with pytest.raises(ClocheError) as refused:
        build(Path(output))
    assert refused.value.code == "image.unwritable"
    assert "Name a folder of your own" in refused.value.hint
