"""What a run told of the model in an image, beside it: written, read back, taken along, refused."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from image_output import Output

from cloche import composition
from cloche.artifacts import (
    Deployment,
    FileEntry,
    Parity,
    Verdict,
    encode,
)
from cloche.errors import ClocheError
from cloche.images import manifest, verdicts
from cloche.images.bases.base import Base
from cloche.images.copying import model_files
from cloche.images.image import (
    LAYER,
    MANIFEST,
    Artifact,
    Attachment,
    Descriptor,
    SmallBlob,
)
from cloche.images.sources import reading
from cloche.images.sources.reading import ReadImage
from cloche.pipeline import verdicts as known
from cloche.pipeline.image import write_image
from cloche.progress import SilentProgress
from cloche.settings import Settings
from fixtures.commands import Outcome

PARITY = Parity("y", "FP32", 20, 7.2, 7e-4, 5e-6, 1e-6, 2e-5, labels=(20, 20))


@pytest.fixture
def image(tmp_path: Path, told: Deployment, base: Base, settings: Settings) -> ReadImage:
    """The image of that deployment, as it is read from a layout."""
    write_image(told, [base], tmp_path / "out", settings=settings, progress=SilentProgress())
    return reading.read(tmp_path / "out")


def verdict_of(deployment: Deployment) -> Verdict:
    found = verdicts.of(deployment)
    assert found is not None
    return found


def artifact(image: ReadImage, *documents: bytes) -> Artifact:
    """A verdict beside an image, as anybody may have written it."""
    blobs = tuple(SmallBlob(data, verdicts.ARTIFACT) for data in documents)
    assert image.digest is not None
    attachment = Attachment(verdicts.ARTIFACT, blobs)
    return manifest.attached(attachment, Descriptor(MANIFEST, image.digest, 1))


# ── written and read ──────────────────────────────────────────────────────────────────────────


def test_what_is_written_is_read_back(output: Output, told: Deployment) -> None:
    output.build(told)
    found = verdicts.read(*output.read(verdicts.ARTIFACT))
    assert found == verdicts.Read((verdict_of(told),), ())
    (verdict,) = found.verdicts
    assert verdict.conversion == told.main.conversion
    assert verdict.lock == told.main.lock
    here = verdicts.told_of(verdict, told.main.snapshot)
    assert here.facts.findings == told.main.facts.findings


def test_it_changes_no_digest_and_names_no_path(
    output: Output, told: Deployment, tmp_path: Path
) -> None:
    without = output.build(replace(told, verdict=""))
    assert output.read(verdicts.ARTIFACT)[1] == ()
    built = output.build(told)
    assert built.descriptor == without.descriptor
    (there,) = output.read(verdicts.ARTIFACT)[1]
    data = b"".join(b"".join(blob.chunks()) for blob in there.blobs)
    assert str(tmp_path).encode() not in data


def test_numbers_that_are_measured_anew_do_not_pile_up(output: Output, told: Deployment) -> None:
    output.build(told)
    made = told.main.conversion
    assert made is not None
    other = replace(made, parity=(replace(PARITY, max_absolute=6e-6),))
    output.build(replace(told, members=(replace(told.main, conversion=other),)))
    assert len(output.read(verdicts.ARTIFACT)[1]) == 1


def test_a_deployment_whose_model_did_not_run_has_none(output: Output, asked: Deployment) -> None:
    output.build(asked)
    assert output.read(verdicts.ARTIFACT)[1] == ()


# ── taken along ───────────────────────────────────────────────────────────────────────────────


def test_copies_take_it_along(
    run: Callable[..., Outcome], output: Output, told: Deployment, open_registry: str
) -> None:
    """Push, copy within a registry, pull: at each place `inspect` shows the same."""
    output.build(told)
    shown = run("image", "inspect", output.text, "--json").expect(0).json
    (verdict,) = shown["verdicts"]
    assert verdict["converter"] == "a converter"
    assert verdict["parity"][0]["max_absolute"] == PARITY.max_absolute
    team = f"{open_registry}/t{uuid.uuid4().hex[:12]}"
    run("image", "copy", output.text, f"{team}/a:1").expect(0)
    run("image", "copy", f"{team}/a:1", f"{team}/b:1").expect(0)
    for place in ("pulled", "pulled.tar"):
        pulled = run("image", "pull", f"{team}/b:1", f"./{place}", "--json").expect(0).json
        assert pulled["digest"] == shown["digest"]
        assert pulled["verdicts"] == [verdict]
        assert not pulled["trusted"]
        again = run("image", "inspect", f"./{place}", "--json").expect(0).json
        assert again["verdicts"] == [verdict]
    assert "converted by a converter" in run("image", "inspect", "./pulled").expect(0).out


def test_the_files_of_a_conversion_come_out_of_the_image(
    image: ReadImage, told: Deployment, tmp_path: Path
) -> None:
    made = told.main.conversion
    assert made is not None
    elsewhere = composition.store(Settings(home=tmp_path / "elsewhere"))
    with SilentProgress().task("") as task:
        assert model_files.bring(image, made.files, elsewhere, task)
        assert elsewhere.put_tree(made.files) == made.digest
        unknown = FileEntry("model.onnx", made.files[0].size, "sha256:" + "0" * 64)
        assert not model_files.bring(image, [unknown], elsewhere, task)
    assert not elsewhere.use(unknown.digest)
    assert not list((tmp_path / "elsewhere" / "store" / "partial").iterdir())


def test_no_file_comes_out_of_layers_that_others_made(
    image: ReadImage, told: Deployment, tmp_path: Path
) -> None:
    """Compressed anew they may unpack to any size; a layer that is damaged is told."""
    made = told.main.conversion
    assert made is not None
    elsewhere = composition.store(Settings(home=tmp_path / "elsewhere"))
    squeezed = tuple(
        SmallBlob(gzip.compress(b"".join(layer.chunks())), f"{LAYER}+gzip")
        for layer in image.layers
    )
    broken = tuple(SmallBlob(b"no tar stream" * 100, LAYER) for _ in image.layers)
    with SilentProgress().task("") as task:
        assert not model_files.bring(replace(image, layers=squeezed), made.files, elsewhere, task)
        with pytest.raises(ClocheError) as refused:
            model_files.bring(replace(image, layers=broken), made.files, elsewhere, task)
    assert refused.value.code == "image.broken"


# ── from a stranger ───────────────────────────────────────────────────────────────────────────


def forged(verdict: Verdict, **changes: Any) -> bytes:
    return encode(replace(verdict, **changes))


def wrong(verdict: Verdict) -> dict[str, tuple[tuple[bytes, ...], str]]:
    """Documents of strangers, and a word of what is said of each."""
    made, lock = verdict.conversion, verdict.lock
    assert made is not None
    assert lock is not None
    outside = (FileEntry("../model.onnx", made.files[0].size, made.files[0].digest),)
    document = json.loads(encode(verdict))
    deep = b"[" * 100_000 + b"]" * 100_000
    options = b'{"framework":"x","kind":"y","path":"z","options":{"a":' + deep + b"}}"
    facts = json.dumps({**document["facts"], "loading": "HERE"}).encode()
    nested = encode(verdict).replace(encode(verdict.facts), facts.replace(b'"HERE"', options))
    return {
        "no JSON": ((b"no JSON",), "malformed"),
        "empty": ((b"",), "0 bytes"),
        "not an object": ((b"[]",), "object"),
        "another schema": ((forged(verdict, schema=2),), "another version"),
        "a field is missing": ((b'{"schema":1}',), "missing"),
        "a wrong type": ((json.dumps({**document, "facts": 3}).encode(),), "facts"),
        "too large": ((b" " * (4 * 2**20) + encode(verdict),), "bytes"),
        "too deep": ((nested,), ""),
        "two documents": ((encode(verdict), b"{}"), "2 documents"),
        "another model": ((forged(verdict, model="sha256:" + "0" * 64),), "another model"),
        "no digest": ((forged(verdict, model="../../etc"),), "which model"),
        "a path as key": ((forged(verdict, asked="../../x"),), "which model"),
        "no conversion": ((forged(verdict, conversion=None),), "another conversion"),
        "other files": (
            (forged(verdict, conversion=replace(made, files=(*made.files, *outside))),),
            "",
        ),
        "an entry": ((forged(verdict, conversion=replace(made, entry="x")),), "lacks 'x'"),
        "a lock": ((forged(verdict, lock=replace(lock, text="evil==1\n")),), "lock"),
    }


@pytest.mark.parametrize("kind", [
    "no JSON", "empty", "not an object", "another schema", "a field is missing", "a wrong type",
    "too large", "too deep", "two documents", "another model", "no digest", "a path as key",
    "no conversion", "other files", "an entry", "a lock",
])  # fmt: skip
def test_what_does_not_hold_together_is_a_finding(
    kind: str, image: ReadImage, told: Deployment
) -> None:
    right = verdict_of(told)
    documents, word = wrong(right)[kind]
    there = [artifact(image, *documents), artifact(image, encode(right))]
    found = verdicts.read(image, there)
    assert found.verdicts == (right,)
    (finding,) = found.findings
    assert finding.code == "image.verdict"
    assert word in finding.what
    assert finding.hint


def test_of_several_the_careful_one_counts(image: ReadImage, told: Deployment) -> None:
    right = verdict_of(told)
    batch = right.facts.batch
    alone = replace(right, facts=replace(right.facts, batch=replace(batch, present=False)))
    joined = replace(right, facts=replace(right.facts, batch=replace(batch, present=True)))
    for order in ([alone, joined], [joined, alone]):
        found = verdicts.read(image, [artifact(image, encode(each)) for each in order])
        assert found.verdicts == (alone,)


def test_only_so_many_are_read(image: ReadImage, told: Deployment) -> None:
    there = [artifact(image, encode(replace(verdict_of(told), asked=f"{n:064x}"))) for n in
             range(40)]  # fmt: skip
    found = verdicts.read(image, there)
    assert len(found.verdicts) == 16
    assert "more than 16" in found.findings[0].what


@pytest.mark.parametrize("output", ["open_registry", "old_registry"], indirect=True)
def test_a_stranger_breaks_neither_inspect_nor_pull(
    run: Callable[..., Outcome], output: Output, told: Deployment
) -> None:
    """Whoever may push there may attach what they like, whatever its form."""
    assert output.host is not None
    built = output.build(told)
    registry = output.connections.at(output.host)
    for data in (b"no JSON", b'{"schema":1}'):
        attachment = Attachment(verdicts.ARTIFACT, (SmallBlob(data, verdicts.ARTIFACT),))
        bad = manifest.attached(attachment, built.descriptor)
        for blob in bad.blobs:
            with SilentProgress().task("") as task:
                digest, size = blob.descriptor.digest, blob.descriptor.size
                registry.upload(output.place, digest, size, blob.chunks, task)
        where = (output.place, bad.descriptor.digest)
        registry.put_manifest(*where, bad.manifest, bad.descriptor.media_type)
    shown = run("image", "inspect", output.text, "--json").expect(0).json
    pulled = run("image", "pull", output.text, "./pulled", "--json").expect(0).json
    for report in (shown, pulled):
        assert len(report["verdicts"]) == 1
        told_codes = [each["code"] for each in report["findings"]]
        assert told_codes.count("image.verdict") == 2


def test_a_home_that_knows_better_keeps_it(told: Deployment, settings: Settings) -> None:
    """What was measured here stays, and so does what a trusted registry told."""
    verdict = verdict_of(told)
    trusting = replace(settings, images_trusted=("b.example/team", "c.example:5000"))
    assert known.give(verdict, "b.example/teams/x:1", trusting)
    assert known.give(verdict, "b.example/team/x:1", trusting)
    assert not known.give(verdict, "b.example/other/team:1", trusting)
    assert known.give(verdict, "c.example:5000/x:1", trusting)
    assert known.give(verdict, "b.example/other:1", settings), "it is no longer trusted"


@pytest.mark.parametrize(
    ("image", "trusted"),
    [
        ("b.example/team/x:1", True),
        ("b.example/team/more/x@sha256:" + "0" * 64, True),
        ("b.example/team:1", True),
        ("b.example/teams/x:1", False),
        ("b.example/x:1", False),
        ("b.example.evil/team/x:1", False),
        ("b.example:444/team/x:1", False),
        ("evil.example/b.example/team/x:1", False),
        (None, True),
    ],
)
def test_what_is_trusted(image: str | None, *, trusted: bool, tmp_path: Path) -> None:
    settings = Settings(tmp_path, images_trusted=("b.example/team",))
    assert known.is_trusted(image, settings) is trusted
