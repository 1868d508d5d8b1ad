"""What a run told of the model in an image, beside it: written, read back, taken along, refused."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cloche import composition
from cloche.artifacts import (
    Conversion,
    Deployment,
    FileEntry,
    Finding,
    Lock,
    Parity,
    Severity,
    Verdict,
    digest_of_files,
    digest_of_lock,
    encode,
)
from cloche.clients.oci import reference as references
from cloche.images import manifest, verdicts
from cloche.images.bases.base import Base
from cloche.images.copying import model_files
from cloche.images.image import (
    MANIFEST,
    Artifact,
    Attachment,
    Descriptor,
    Image,
    Platform,
    SmallBlob,
)
from cloche.images.sources import reading, remote
from cloche.images.sources.reading import ReadImage
from cloche.pipeline.image import Registries, push_image, registries, write_image
from cloche.progress import SilentProgress
from cloche.settings import Settings
from cloche.store import Store
from fixtures.commands import Outcome
from fixtures.registries import logged_in, nobody

AMD64 = Platform("linux", "amd64")
ASKED = "5e" * 32
PARITY = Parity("y", "FP32", 20, 7.2, 7e-4, 5e-6, 1e-6, 2e-5, labels=(20, 20))


@dataclass(frozen=True)
class Output:
    """A layout, an archive or a repository that no other test has."""

    place: str
    folder: Path
    base: Base
    settings: Settings
    connections: Registries
    host: str | None = None

    @property
    def text(self) -> str:
        """As a user writes it."""
        return f"{self.host}/{self.place}:v1" if self.host else str(self.folder / self.place)

    def build(self, deployment: Deployment) -> Image:
        """Write the image of a deployment."""
        how: dict[str, Any] = {"settings": self.settings, "progress": SilentProgress()}
        if self.host is None:
            return write_image(deployment, [self.base], self.folder / self.place, **how).images[0]
        reference = references.parse(self.text)
        return push_image(deployment, [self.base], reference, self.connections, **how).images[0]

    def read(self) -> tuple[ReadImage, tuple[Artifact, ...]]:
        """Read the image, and the verdicts that are attached to it."""
        if self.host is None:
            found = reading.read(self.folder / self.place)
            assert found.digest is not None
            path = self.folder / self.place
            return found, reading.attached(path, found.digest, verdicts.ARTIFACT)
        registry = self.connections.at(self.host)
        found = remote.read(registry, references.parse(self.text), AMD64)
        assert found.digest is not None
        return found, remote.attached(registry, self.place, found.digest, verdicts.ARTIFACT)


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
def told(asked: Deployment) -> Deployment:
    """The deployment as if its file were a conversion that a run had measured."""
    (model,) = [file for file in asked.repository.files if file.path.endswith(".onnx")]
    files = (FileEntry("model.onnx", model.size, model.digest),)
    made = Conversion(digest_of_files(files), files, "model.onnx", "a converter", (PARITY,), 6)
    text = "onnx==1.22.0 --hash=sha256:00\n"
    lock = Lock(digest_of_lock("3.11", text), "3.11", text, of="a" * 64)
    where = asked.main.snapshot.pinned
    noted = Finding(Severity.NOTE, "conversion.note", f"{where} was read.", where=where)
    facts = replace(asked.main.facts, findings=(*asked.main.facts.findings, noted))
    member = replace(asked.main, facts=facts, conversion=made, lock=lock)
    return replace(asked, members=(member,), verdict=ASKED)


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
    found = verdicts.read(*output.read())
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
    assert output.read()[1] == ()
    built = output.build(told)
    assert built.descriptor == without.descriptor
    (there,) = output.read()[1]
    data = b"".join(b"".join(blob.chunks()) for blob in there.blobs)
    assert str(tmp_path).encode() not in data


def test_numbers_that_are_measured_anew_do_not_pile_up(output: Output, told: Deployment) -> None:
    output.build(told)
    made = told.main.conversion
    assert made is not None
    other = replace(made, parity=(replace(PARITY, max_absolute=6e-6),))
    output.build(replace(told, members=(replace(told.main, conversion=other),)))
    assert len(output.read()[1]) == 1


def test_a_deployment_whose_model_did_not_run_has_none(output: Output, asked: Deployment) -> None:
    output.build(asked)
    assert output.read()[1] == ()


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


def test_a_store_that_knows_better_keeps_it(told: Deployment, store: Store) -> None:
    """What was measured here stays, and so does what a trusted registry told."""
    from cloche.pipeline import verdicts as known

    verdict = verdict_of(told)
    stranger = known.Kept(verdict, "a.example/x:1", trusted=False)
    trusted = known.Kept(verdict, "b.example/x:1", trusted=True)
    assert known.give(stranger, store)
    assert known.give(trusted, store)
    assert not known.give(stranger, store)
    assert known.give(trusted, store)
