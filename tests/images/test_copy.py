"""Images copied between registries, layouts and archives: the same bytes, whole or not there."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_base
from tiny_base import Layout

from cloche.clients.oci.registry import Registry
from fixtures.commands import Outcome
from fixtures.cutting import CuttingProxy
from fixtures.odd_registry import OddRegistry
from fixtures.registries import PASSWORD, logged_in, registry_at

Run = Callable[..., Outcome]
DOCKER = "application/vnd.docker"
SBOM = "application/vnd.cyclonedx+json"


@pytest.fixture
def whole(tmp_path: Path) -> Layout:
    """Two platforms under one index, and what refers to the index, an image and a referrer."""
    layout = Layout(tmp_path / "whole")
    files = tiny_base.rootfs()
    image = layout.image(files, tiny_base.configuration(files))
    layout.image(files, tiny_base.configuration(files, "arm64"), zipped=False)
    index = layout.join("example.com/team/scores:1")
    layout.refer(index, SBOM, b'{"sbom": 1}')
    answers = layout.refer(image, "application/vnd.example.golden+json", b"[1, 2]")
    layout.refer(answers, "application/vnd.example.signature", b"signed")
    return layout


@pytest.fixture
def place(open_registry: str) -> str:
    """A repository that no other test has."""
    return f"{open_registry}/t{uuid.uuid4().hex[:12]}"


def blobs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "blobs" / "sha256").iterdir()}


def entries(folder: Path) -> list[dict[str, Any]]:
    manifests: list[dict[str, Any]] = json.loads((folder / "index.json").read_bytes())["manifests"]
    return manifests


def code(outcome: Outcome) -> str:
    assert outcome.code in {1, 2}, outcome
    error = json.loads(outcome.out)["error"]
    assert error["hint"]
    return str(error["code"])


def skopeo(*words: str) -> dict[str, Any]:
    if shutil.which("skopeo") is None:
        pytest.skip("needs skopeo: apt-get install skopeo")
    done = subprocess.run(
        ["skopeo", *words], capture_output=True, check=False, timeout=60
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# ── what is copied ────────────────────────────────────────────────────────────────────────────


def test_there_and_back_everything_is_the_same(run: Run, whole: Layout, place: str) -> None:
    """Folder, registry, another repository, folder, the same folder again."""
    digest = whole.manifests[0]["digest"]
    pushed = run("image", "push", "whole", f"{place}/a:1", "--json").expect(0).json
    assert pushed["digest"] == digest
    assert pushed["platforms"] == ["linux/amd64", "linux/arm64"]
    assert (pushed["referrers"], pushed["there"], pushed["mounted"]) == (3, 0, 0)
    again = run("image", "push", "whole", f"{place}/a:2", "--json").expect(0).json
    assert (again["copied"], again["there"]) == (0, pushed["copied"])
    words = ("image", "copy", f"{place}/a:1", f"docker://{place}/b:1", "--json")
    moved = run(*words).expect(0).json
    assert (moved["copied"], moved["mounted"]) == (0, pushed["copied"])
    pulled = run("image", "pull", f"{place}/b:1", "out", "--json").expect(0).json
    assert (pulled["digest"], pulled["referrers"]) == (digest, 3)
    assert blobs(Path("out")) == blobs(whole.folder)
    first, *referring = entries(Path("out"))
    assert first["digest"] == digest
    assert first["annotations"]["org.opencontainers.image.ref.name"] == f"{place}/b:1"
    assert {each["digest"] for each in referring} == {
        each["digest"] for each in whole.manifests[1:]
    }  # fmt: skip
    before = blobs(Path("out")), entries(Path("out"))
    repeated = run("image", "pull", f"{place}/b:1", "out", "--json").expect(0).json
    assert repeated["copied"] == 0
    assert (blobs(Path("out")), entries(Path("out"))) == before


@pytest.mark.parametrize("form", ["", ".tar"])
def test_one_platform_is_its_manifest(run: Run, whole: Layout, place: str, form: str) -> None:
    run("image", "push", "whole", f"{place}/a:1").expect(0)
    words = ("--platform", "linux/amd64", "--json")
    out = f"out{form}"
    pulled = run("image", "pull", f"{place}/a:1", out, *words).expect(0).json
    assert (pulled["platforms"], pulled["referrers"]) == (["linux/amd64"], 2)
    shown = run("image", "inspect", out, "--json").expect(0).json
    assert shown["digest"] == pulled["digest"]
    remote = run("image", "inspect", f"{place}/a:1", *words).expect(0).json
    assert remote | {"path": shown["path"]} == shown
    back = run("image", "push", out, f"{place}/c:1", "--json").expect(0).json
    assert (back["digest"], back["referrers"]) == (pulled["digest"], 2)
    assert back["copied"] == pulled["copied"]


def test_skopeo_finds_the_same_digests(run: Run, whole: Layout, place: str) -> None:
    run("image", "push", "whole", f"{place}/a:1").expect(0)
    plain = ("--tls-verify=false", "--no-tags")
    raw = skopeo("inspect", "--raw", *plain[:1], f"docker://{place}/a:1")
    assert [each["digest"] for each in raw["manifests"]] == [
        each["digest"] for each in whole.blobs if each["mediaType"] == tiny_base.MANIFEST
    ][:2]  # fmt: skip
    run("image", "pull", f"{place}/a:1", "out", "--platform", "linux/amd64").expect(0)
    seen = skopeo("inspect", f"oci:out:{place}/a:1")
    assert seen["Digest"] == entries(Path("out"))[0]["digest"]
    assert seen["Layers"] == skopeo("inspect", *plain, f"docker://{place}/a:1")["Layers"]


def test_an_image_of_docker_stays_as_it_is(run: Run, tmp_path: Path, place: str) -> None:
    """Schema 2 with its list, and layers by gzip."""
    layout, files = Layout(tmp_path / "docker"), tiny_base.rootfs()

    config = layout.blob(
        json.dumps(tiny_base.configuration(files)).encode(),
        f"{DOCKER}.container.image.v1+json",
    )
    layer = layout.blob(gzip.compress(files), f"{DOCKER}.image.rootfs.diff.tar.gzip")
    kind = f"{DOCKER}.distribution.manifest"
    manifest = {"schemaVersion": 2, "mediaType": f"{kind}.v2+json",
                "config": config, "layers": [layer]}  # fmt: skip
    layout.manifests = [layout.blob(json.dumps(manifest).encode(), f"{kind}.v2+json")]
    digest = layout.join("docker.example/x:1", f"{kind}.list.v2+json")
    run("image", "push", "docker", f"{place}/d:1").expect(0)
    run("image", "pull", f"{place}/d@{digest}", "out").expect(0)
    assert blobs(Path("out")) == blobs(layout.folder)
    (entry,) = entries(Path("out"))
    assert (entry["mediaType"], entry["digest"]) == (f"{kind}.list.v2+json", digest)
    assert "annotations" not in entry, "a digest is no name"
    run("image", "copy", "out", "out.tar").expect(0)
    assert run("image", "inspect", "out.tar", "--json").expect(0).json["layers"]


def test_an_archive_without_manifests_gets_one(run: Run, tmp_path: Path, place: str) -> None:
    tiny_base.docker_archive(tmp_path / "saved.tar")
    pushed = run("image", "push", "saved.tar", f"{place}/s:1", "--json").expect(0).json
    shown = run("image", "inspect", f"{place}/s:1", "--json").expect(0).json
    assert shown["digest"] == pushed["digest"]
    saved = run("image", "inspect", "saved.tar", "--json").expect(0).json
    assert [each["digest"] for each in shown["layers"]] == [
        each["digest"] for each in saved["layers"]
    ]  # fmt: skip
    named = run("image", "copy", "saved.tar", "./out", "--json").expect(0).json
    assert named["name"] == "docker.io/library/triton:26.07"


@pytest.mark.parametrize("kind", ["application/vnd.in-toto+json", None])
def test_an_attestation_is_no_platform(run: Run, tmp_path: Path, kind: str | None) -> None:
    """As BuildKit puts them beside an image, so that an archive can take the index."""
    layout, files = Layout(tmp_path / "built"), tiny_base.rootfs()
    layout.image(files, tiny_base.configuration(files))
    layout.image(files, tiny_base.configuration(files, "unknown", os="unknown"))
    if kind is not None:
        path = layout.folder / "blobs" / layout.manifests[1]["digest"].replace(":", "/")
        manifest = json.loads(path.read_bytes())
        manifest["layers"] = [layout.blob(b"{}", kind)]
        layout.manifests[1] = layout.blob(json.dumps(manifest).encode(), tiny_base.MANIFEST)
    digest = layout.join("example.com/built:1")
    copied = run("image", "copy", "built", "out.tar", "--json").expect(0).json
    assert (copied["digest"], copied["platforms"]) == (digest, ["linux/amd64"])
    with tarfile.open("out.tar") as archive:
        (entry,) = json.load(archive.extractfile("manifest.json") or io.BytesIO())
    assert entry["RepoTags"] == ["example.com/built:1"]
    shown = run("image", "inspect", "out.tar", "--json").expect(0).json
    assert entry["Layers"] == [f"blobs/{shown['layers'][0]['digest'].replace(':', '/')}"]
    back = run("image", "copy", "out.tar", "./back", "--json").expect(0).json
    assert back["digest"] == digest


def test_one_image_of_several_is_named(run: Run, tmp_path: Path) -> None:
    layout, files = Layout(tmp_path / "several"), tiny_base.rootfs()
    for number in (1, 2):
        config = tiny_base.configuration(files, author=str(number))
        layout.image(files, config, f"example.com/a:{number}")
    told = run("image", "copy", "several", "out.tar", "--json")
    assert code(told) == "image.several"
    assert "example.com/a:1 (linux/amd64), example.com/a:2" in told.out
    platform = ("--platform", "linux/amd64", "--json")
    assert code(run("image", "copy", "several", "out.tar", *platform)) == "image.several"
    words = ("image", "copy", "oci:several:example.com/a:2")
    copied = run(*words, "out.tar", "--json").expect(0).json
    assert copied["digest"] == layout.manifests[1]["digest"]
    assert run(*words, "oci:out:other:3", "--json").expect(0).json["name"].endswith("/other:3")
    run("image", "inspect", "oci:out:other:3").expect(0)
    run("image", "copy", "oci:several:example.com/a:1", "oci:out:first").expect(0)
    assert len(entries(Path("out"))) == 2
    run("image", "copy", "oci:out:first", "oci:out:third").expect(0)
    assert len(entries(Path("out"))) == 3
    for verb in (("inspect",), ("copy", "./x")):
        told = run("image", verb[0], "oci:several:absent", *verb[1:], "--json")
        assert code(told) == "image.name"


@pytest.mark.parametrize("lists", [True, False])
def test_referrers_with_and_without_a_list(
    run: Run, whole: Layout, odd_registry: OddRegistry, lists: bool
) -> None:
    odd_registry.lists_referrers = lists
    run("image", "push", "whole", f"{odd_registry.host}/a:1").expect(0)
    order = [each for each in odd_registry.asked if each.startswith("PUT /v2/a/manifests/")]
    assert order[-1].endswith("/1"), "the tag comes last"
    pulled = run("image", "pull", f"{odd_registry.host}/a:1", "out", "--json").expect(0).json
    assert pulled["referrers"] == 3
    assert blobs(Path("out")) == blobs(whole.folder)


def test_a_registry_that_mounts_nothing_gets_the_bytes(
    run: Run, whole: Layout, odd_registry: OddRegistry
) -> None:
    odd_registry.mounts = False
    host = odd_registry.host
    pushed = run("image", "push", "whole", f"{host}/a:1", "--json").expect(0).json
    moved = run("image", "copy", f"{host}/a:1", f"{host}/b:1", "--json").expect(0).json
    assert (moved["copied"], moved["mounted"]) == (pushed["copied"], 0)
    assert moved["digest"] == whole.manifests[0]["digest"]


# ── what breaks ───────────────────────────────────────────────────────────────────────────────


def test_a_broken_copy_is_not_under_the_tag_and_goes_on(
    run: Run, whole: Layout, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, sent = Registry.upload, []

    def upload(*arguments: Any) -> str:
        if sent:
            raise KeyboardInterrupt
        digest = real(*arguments)
        sent.append(arguments[2])
        return digest

    monkeypatch.setattr(Registry, "upload", upload)
    run("image", "push", "whole", f"{place}/a:1").expect(130)
    host, _, name = place.partition("/")
    with registry_at(host) as registry:
        assert not registry.has_manifest(f"{name}/a", "1")
    monkeypatch.setattr(Registry, "upload", real)
    pushed = run("image", "push", "whole", f"{place}/a:1", "--json").expect(0).json
    assert pushed["there"] > 0


def test_cut_connections_go_on(run: Run, tmp_path: Path, open_registry: str) -> None:
    layout, files = Layout(tmp_path / "large"), os.urandom(6 * 2**20)
    layout.image(files, tiny_base.configuration(files), zipped=False)
    proxy = CuttingProxy(open_registry)
    name = f"{proxy.host}/t{uuid.uuid4().hex[:12]}:1"
    try:
        proxy.to_server.append(3 * 2**20)
        run("image", "push", "large", name).expect(0)
        proxy.to_client.append(3 * 2**20)
        run("image", "pull", name, "out").expect(0)
    finally:
        proxy.close()
    assert blobs(Path("out")) == blobs(layout.folder)


@pytest.fixture
def two_layers(tmp_path: Path) -> Layout:
    """An image whose second layer is large."""
    layout, files = Layout(tmp_path / "two"), os.urandom(6 * 2**20)
    layout.image(files, tiny_base.configuration(files), zipped=False)
    return layout


def _interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> list[int]:
    """Interrupt the first pull after so many bytes of a blob; return where blobs are begun."""
    real, begun = Registry.blob, []

    def blob(self: Registry, name: str, digest: str, start: int = 0, **how: Any) -> Any:
        begun.append(start)
        sent = 0
        for chunk in real(self, name, digest, start, **how):
            yield chunk
            sent += len(chunk)
            if len(begun) < 10 and sent >= after and start == 0 and sent > 2**20:
                raise KeyboardInterrupt

    monkeypatch.setattr(Registry, "blob", blob)
    return begun


def test_an_interrupted_pull_goes_on_where_it_broke(
    run: Run, tmp_path: Path, place: str, two_layers: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no folder before all is there; the bytes that came are not asked for again."""
    run("image", "push", "two", f"{place}/a:1").expect(0)
    with monkeypatch.context() as broken:
        _interrupt(broken, 3 * 2**20)
        run("image", "pull", f"{place}/a:1", "out").expect(130)
    assert not Path("out").exists()
    assert Path(".out.partial").is_dir()
    begun: list[int] = []
    real = Registry.blob

    def blob(self: Registry, name: str, digest: str, start: int = 0, **how: Any) -> Any:
        begun.append(start)
        return real(self, name, digest, start, **how)

    monkeypatch.setattr(Registry, "blob", blob)
    run("image", "pull", f"{place}/a:1", "out").expect(0)
    assert max(begun) >= 3 * 2**20
    assert blobs(Path("out")) == blobs(two_layers.folder)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_an_interrupted_pull_left_is_checked(
    run: Run, place: str, two_layers: Layout, whole: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damaged bytes are fetched anew; those of another image are not in the folder."""
    run("image", "push", "two", f"{place}/a:1").expect(0)
    run("image", "push", "whole", f"{place}/b:1").expect(0)
    for other in ("a", "b"):
        with monkeypatch.context() as broken:
            _interrupt(broken, 3 * 2**20)
            run("image", "pull", f"{place}/a:1", "out").expect(130)
        begun = list(Path(".out.partial/blobs/sha256").glob("*.partial"))
        assert begun
        for partial in begun:  # layers come at once, so more than one may have begun
            partial.write_bytes(os.urandom(partial.stat().st_size))
        run("image", "pull", f"{place}/{other}:1", "out").expect(0)
        expected = two_layers if other == "a" else whole
        assert blobs(Path("out")) == blobs(expected.folder)
        shutil.rmtree("out")


@pytest.mark.parametrize("out", ["out", "out.tar"])
def test_what_lies_is_not_kept(
    run: Run, tmp_path: Path, odd_registry: OddRegistry, out: str
) -> None:
    layout = tiny_base.layout(tmp_path / "one")
    run("image", "push", str(layout), f"{odd_registry.host}/a:1").expect(0)
    odd_registry.flips = True
    before = {path.name for path in tmp_path.iterdir()}
    assert code(run("image", "pull", f"{odd_registry.host}/a:1", out, "--json")).startswith(
        "registry."
    )
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
@pytest.mark.parametrize("out", ["out", "out.tar"])
def test_a_full_disk_is_told_and_nothing_is_left(
    run: Run, tmp_path: Path, place: str, out: str
) -> None:
    layout, files = Layout(tmp_path / "large"), os.urandom(2**20)
    layout.image(files, tiny_base.configuration(files), zipped=False)
    run("image", "push", "large", f"{place}/a:1").expect(0)
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=True)
    try:
        told = run("image", "pull", f"{place}/a:1", str(disk / out), "--json")
        assert code(told) == "image.full"
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", disk], check=True)


# ── what is refused ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def _one(tmp_path: Path) -> Iterator[None]:
    tiny_base.layout(tmp_path / "one")
    (tmp_path / "text.tar").write_text("hello")
    yield
    assert not {"out", "out.tar", "x"} & {path.name for path in tmp_path.iterdir()}


@pytest.mark.usefixtures("_one")
@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ("image.unknown", ("copy", "text.tar", "./out")),
        ("image.missing", ("copy", "./absent", "./out")),
        ("image.missing", ("push", "absent", "a.example/b:1")),
        ("registry.reference", ("copy", "No:1", "./out")),
        ("registry.reference", ("push", "one", "a.example/b:not a tag")),
        ("image.target", ("copy", "one", "x")),
        ("image.reference", ("push", "one", "./out")),
        ("image.path", ("push", "docker://a.example/b:1", "a.example/c:1")),
        ("image.path", ("pull", "a.example/b:1", "docker://a.example/c:1")),
        ("image.reference", ("pull", "one", "out")),
        ("image.same", ("copy", "one", "./one")),
        ("image.same", ("copy", "a.example/b", "a.example/b:latest")),
        ("image.digest", ("push", "one", f"a.example/b@sha256:{'0' * 64}")),
        ("image.platform", ("copy", "one", "./out", "--platform", "linux/arm64")),
        ("image.platform.unknown", ("copy", "one", "./out", "--platform", "mac")),
        ("image.output", ("copy", "one", "oci:text.tar")),
    ],
)
def test_what_is_wrong_is_told_at_once(run: Run, expected: str, words: tuple[str, ...]) -> None:
    assert code(run("image", *words, "--json")) == expected


def test_several_platforms_are_no_archive(run: Run, whole: Layout) -> None:
    assert whole.folder.is_dir()
    told = run("image", "copy", "whole", "out.tar", "--json")
    assert code(told) == "image.platforms"
    assert "--platform" in told.out
    assert not Path("out.tar").exists()


def test_an_unknown_reference(run: Run, place: str) -> None:
    assert code(run("image", "pull", f"{place}/absent:1", "out", "--json")) == "registry.unknown"
    assert code(run("image", "inspect", f"{place}/absent:1", "--json")) == "registry.unknown"
    assert not Path("out").exists()


def test_a_wrong_password(
    run: Run, tmp_path: Path, users_registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_base.layout(tmp_path / "one")
    for password in (f"not {PASSWORD}", PASSWORD):
        there = logged_in(tmp_path, users_registry, password)
        monkeypatch.setenv("DOCKER_CONFIG", there["DOCKER_CONFIG"])
        name = f"{users_registry}/t{uuid.uuid4().hex[:12]}:1"
        pushed = run("image", "push", "one", name, "--json")
        if password == PASSWORD:
            pushed.expect(0)
        else:
            assert code(pushed) == "registry.unauthorized"
            assert password not in pushed.out + pushed.err


def test_without_the_right_to_push(
    run: Run, tmp_path: Path, odd_registry: OddRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd_registry.private = odd_registry.refuses = True
    tiny_base.layout(tmp_path / "one")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    told = run("image", "push", "one", f"{odd_registry.host}/a:1", "--json")
    assert code(told) in {"registry.unauthorized", "registry.forbidden"}
    assert not odd_registry.manifests


def test_an_artefact_is_no_image(run: Run, whole: Layout, odd_registry: OddRegistry) -> None:
    run("image", "push", "whole", f"{odd_registry.host}/a:1").expect(0)
    sbom = whole.manifests[1]["digest"]
    words = ("image", "pull", f"{odd_registry.host}/a@{sbom}", "out", "--json")
    assert code(run(*words)) == "image.unknown"


def test_what_referred_to_a_replaced_image_goes_with_it(run: Run, tmp_path: Path) -> None:
    """Of an index its images' too, and what referred to that in turn."""
    for number in (1, 2):
        layout, files = Layout(tmp_path / f"v{number}"), tiny_base.rootfs()
        image = layout.image(files, tiny_base.configuration(files, author=str(number)))
        layout.join("example.com/a:1")
        answers = layout.refer(image, "application/vnd.example.golden+json", b"%d" % number)
        layout.refer(answers, "application/vnd.example.signature", b"signed")
        run("image", "copy", f"v{number}", "./out").expect(0)
    assert [each["digest"] for each in entries(Path("out"))] == [
        layout.manifests[0]["digest"], layout.manifests[2]["digest"], answers,
    ]  # fmt: skip


def test_a_registry_that_names_false_referrers(
    run: Run, tmp_path: Path, odd_registry: OddRegistry
) -> None:
    """Each other's, in a fallback tag: what has no such subject is left."""
    odd_registry.lists_referrers = False
    digest = Layout(tmp_path / "one").image(
        files := tiny_base.rootfs(), tiny_base.configuration(files)
    )
    run("image", "push", "one", f"{odd_registry.host}/a:1").expect(0)
    kind, manifest = odd_registry.manifests["a", digest]
    itself = {"mediaType": kind, "digest": digest, "size": len(manifest)}
    index = json.dumps({"schemaVersion": 2, "mediaType": tiny_base.INDEX, "manifests": [itself]})
    key = ("a", digest.replace(":", "-"))
    odd_registry.manifests[key] = (tiny_base.INDEX, index.encode())
    pulled = run("image", "pull", f"{odd_registry.host}/a:1", "out", "--json").expect(0).json
    assert pulled["referrers"] == 0


@pytest.mark.parametrize("name", ["digits.onnx", "notes.tar", "link.tar"])
def test_no_file_of_the_user_is_replaced(run: Run, tmp_path: Path, place: str, name: str) -> None:
    """A model that was named by mistake, and an archive of something else, stay as they are."""
    run("image", "push", str(tiny_base.layout(tmp_path / "one")), f"{place}/a:1").expect(0)
    kept = tmp_path / "kept.tar"
    with tarfile.open(kept, "w") as archive:
        archive.addfile(tarfile.TarInfo("notes"))
    if name.startswith("link"):
        (tmp_path / name).symlink_to("kept.tar")
    else:
        (tmp_path / name).write_bytes(kept.read_bytes() if name.endswith("tar") else b"a model")
    before = (tmp_path / name).read_bytes()
    for words in (("pull", f"{place}/a:1", name), ("copy", f"{place}/a:1", f"oci-archive:{name}")):
        assert code(run("image", *words, "--json")) == "image.output"
    assert (tmp_path / name).read_bytes() == before


def test_an_archive_of_an_image_and_an_empty_file_are_replaced(
    run: Run, tmp_path: Path, place: str
) -> None:
    run("image", "push", str(tiny_base.layout(tmp_path / "one")), f"{place}/a:1").expect(0)
    (tmp_path / "out.tar").touch()
    for _ in range(2):
        run("image", "pull", f"{place}/a:1", "out.tar").expect(0)
