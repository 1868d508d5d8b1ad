"""`cloche image build` and `cloche image inspect`, as a user calls them."""

from __future__ import annotations

import json
import os
import stat
import tarfile

import onnx
import pytest
import tiny_base

from cloche.images import golden, sbom, verdicts
from formats.onnx_models import mlp


@pytest.fixture(autouse=True)
def _model_and_base(tmp_path):
    onnx.save(mlp(), tmp_path / "scores.onnx")
    tiny_base.layout(tmp_path / "base")


BASE = ("--base", "./base")
BOTH = "linux/amd64,linux/arm64"


@pytest.mark.usefixtures("with_server")
def test_build_and_inspect(run, tmp_path):
    words = ("image", "build", "scores.onnx", *BASE, "--platform", "linux/amd64", "--json")
    built = run(*words, "--output", "out.tar").expect(0).json
    shown = run("image", "inspect", "out.tar", "--json").expect(0).json
    assert built.pop("golden") == {"origin": "made", "judge": "reference", "why": None}
    assert built == shown
    assert built["findings"] == []
    assert built["path"] == str(tmp_path / "out.tar")
    assert built["digest"].startswith("sha256:")
    assert (built["platform"], built["user"]) == ("linux/amd64", "1000:1000")
    assert built["entrypoint"] == ["/cloche/entrypoint"]
    assert built["server"] == {
        "triton": "26.07", "version": None, "pythons": ["3.12", "3.11"], "cuda": None,
        "glibc": "2.39",
    }  # fmt: skip
    what = [layer["what"] for layer in built["layers"]]
    assert what == ["by hand", "entrypoint", "model files", "golden request"]
    assert built["size"] == sum(layer["size"] for layer in built["layers"])
    again = run(*words, "--output", "out").expect(0).json
    assert again["digest"] == built["digest"]
    table = run("image", "inspect", "out").expect(0).out
    assert built["digest"] in table
    assert "model files" in table


@pytest.mark.usefixtures("with_server")
def test_several_platforms_under_one_name(run, tmp_path):
    tiny_base.layout_of_both(tmp_path / "both")
    words = ("image", "build", "scores.onnx", "--base", "./both", "--tag", "a.example/scores:1")
    both = ("--platform", "linux/arm64,linux/amd64,linux/arm64", "--json")
    built = run(*words, *both, "--output", "out").expect(0).json
    assert built["platforms"] == ["linux/amd64", "linux/arm64"]
    assert built["name"] == "a.example/scores:1"
    entry, *attached = json.loads((tmp_path / "out" / "index.json").read_bytes())["manifests"]
    assert entry["digest"] == built["digest"]
    assert len(attached) == 6, "golden answers, a verdict and a bill of materials of each image"
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == "a.example/scores:1"
    for image in built["images"]:
        platform = image["platform"]
        shown = run("image", "inspect", "out", "--platform", platform, "--json").expect(0).json
        assert shown == image
        words_of_one = (*words, "--platform", platform, "--output", "one", "--json")
        assert run(*words_of_one).expect(0).json["digest"] == image["digest"]
    assert "linux/arm64" in run(*words, *both[:2], "--output", "again").expect(0).out
    refused = run(*words, *both, "--output", "out.tar").expect(2)
    assert json.loads(refused.out)["error"]["code"] == "image.platforms"


@pytest.mark.usefixtures("with_server")
@pytest.mark.parametrize(
    ("tag", "full", "familiar"),
    [
        ("digits:2", "docker.io/library/digits:2", "digits:2"),
        ("a.example/team/digits:2", "a.example/team/digits:2", "a.example/team/digits:2"),
        ("team/digits", "docker.io/team/digits:latest", "team/digits:latest"),
    ],
)
def test_a_name_in_an_archive(run, tmp_path, tag, full, familiar):
    words = ("image", "build", "scores.onnx", *BASE, "--platform", "linux/amd64", "--tag", tag)
    built = run(*words, "--output", "out.tar", "--json").expect(0).json
    assert built["name"] == full
    with tarfile.open(tmp_path / "out.tar") as archive:
        (entry,) = json.load(archive.extractfile("manifest.json"))
        named, *_ = json.load(archive.extractfile("index.json"))["manifests"]
    assert entry["RepoTags"] == [familiar]
    assert named["annotations"] == {
        "org.opencontainers.image.ref.name": tag, "io.containerd.image.name": full,
    }  # fmt: skip


@pytest.mark.usefixtures("with_server")
def test_the_users_example_travels_unless_it_is_left_out(run, tmp_path):
    (tmp_path / "example.json").write_text(json.dumps({"x": [[0.5] * 64]}))
    words = ("image", "build", "scores.onnx", "--example", "example.json", *BASE)
    built = run(*words, "--output", "out", "--json").expect(0).json
    assert built["golden"]["origin"] == "given"
    assert [each["code"] for each in built["findings"]] == ["image.example"]
    assert golden.LAYER in built["annotations"]
    assert "--no-golden" in run(*words, "--output", "out").expect(0).out
    plan = run("plan", "scores.onnx", "--example", "example.json", "--json").expect(0).json
    assert "image.example" in [each["code"] for each in plan["findings"]]
    bare = run(*words, "--output", "bare", "--no-golden", "--json").expect(0).json
    assert (bare["golden"], bare["findings"]) == (None, [])
    assert bare["layers"] == built["layers"][:-1]
    assert golden.LAYER not in bare["annotations"]
    entry, *attached = json.loads((tmp_path / "bare" / "index.json").read_bytes())["manifests"]
    assert entry["digest"] == bare["digest"]
    types = [each["artifactType"] for each in attached]
    assert types == [verdicts.ARTIFACT, sbom.MEDIA_TYPE]


def test_inspect_of_any_image(run):
    table = run("image", "inspect", "base").expect(0).out
    assert "example.com/triton:26.07" in table
    assert "by hand" in table


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("image.nowhere", ["scores.onnx", *BASE]),
        ("image.tag", ["scores.onnx", *BASE, "--push"]),
        ("image.tag", ["scores.onnx", *BASE, "--output", "out", "--tag", f"a@sha256:{'0' * 64}"]),
        ("registry.reference", ["scores.onnx", *BASE, "--push", "--tag", "https://a.example/b"]),
        ("image.missing", ["scores.onnx", "--base", "./absent", "--output", "out"]),
        ("registry.reference", ["scores.onnx", "--base", "Triton:26:07", "--output", "out"]),
        ("image.unknown", ["scores.onnx", "--base", "./scores.onnx", "--output", "out"]),
        ("image.platform", ["scores.onnx", *BASE, "--platform", "linux/s390x", "--output", "o"]),
        ("image.platform.unknown", ["scores.onnx", *BASE, "--platform", "mac", "--output", "o"]),
        ("image.output", ["scores.onnx", *BASE, "--output", "scores.onnx"]),
        ("image.platform", ["scores.onnx", *BASE, "--platform", BOTH, "--output", "out"]),
        ("image.nowhere", ["scores.onnx", *BASE, "--tag", "a.example/b:1"]),
        ("registry.reference", ["scores.onnx", *BASE, "--output", "out", "--tag", "No:1"]),
        ("usage.no_model", [*BASE, "--output", "out"]),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_made(run, tmp_path, code, words):
    before = {path.name for path in tmp_path.iterdir()}
    failed = run("image", "build", *words, "--json")
    assert failed.code in {1, 2}
    error = json.loads(failed.out)["error"]
    assert error["code"] == code
    assert error["hint"]
    assert {path.name for path in tmp_path.iterdir()} - {"home"} == before


def test_a_base_that_does_not_say_what_it_holds(run, tmp_path):
    layer = tiny_base.rootfs()
    config = tiny_base.configuration(layer, config={})
    tiny_base.Layout(tmp_path / "plain").image(layer, config)
    failed = run("image", "build", "scores.onnx", "--base", "./plain", "--output", "o", "--json")
    assert json.loads(failed.out)["error"]["code"] == "image.base.server"


@pytest.mark.parametrize("what", ["symlink", "pipe", "device", "name", "line"])
def test_what_leaves_the_folder_of_a_model_is_refused(run, tmp_path, what):
    version = tmp_path / "repository" / "scores" / "1"
    version.mkdir(parents=True)
    (version.parent / "config.pbtxt").write_text('backend: "onnxruntime"\n')
    (tmp_path / "scores.onnx").rename(version / "model.onnx")
    if what == "symlink":
        (version / "secret").symlink_to("/etc/passwd")
    elif what == "pipe":
        os.mkfifo(version / "pipe")
    elif what == "device":
        if os.geteuid() != 0:
            pytest.skip("root alone makes devices")
        os.mknod(version / "disk", stat.S_IFBLK | 0o600, os.makedev(7, 0))
    else:
        (version / ("one\nline" if what == "line" else os.fsdecode(b"caf\xe9"))).touch()
    failed = run("image", "build", "./repository", *BASE, "--output", "out", "--json").expect(1)
    kinds = {"symlink": "escapes", "pipe": "special", "device": "special"}
    assert json.loads(failed.out)["error"]["code"] == f"source.files.{kinds.get(what, 'name')}"
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("with_server")
def test_hard_links_and_names_of_any_letters(run, tmp_path):
    version = tmp_path / "repository" / "scores" / "1"
    version.mkdir(parents=True)
    (version.parent / "config.pbtxt").write_text('backend: "onnxruntime"\n')
    (tmp_path / "scores.onnx").rename(version / "model.onnx")
    (version / "größe 模型.bin").write_bytes(b"weights")
    os.link(version / "größe 模型.bin", version / "other.bin")
    words = ("image", "build", "./repository", *BASE, "--no-golden", "--json")
    built = run(*words, "--output", "out.tar").expect(0).json
    layer = next(each for each in built["layers"] if each["what"] == "model files")
    with tarfile.open(tmp_path / "out.tar") as archive:
        blob = archive.extractfile(f"blobs/{layer['digest'].replace(':', '/')}")
        with tarfile.open(fileobj=blob) as files:
            for name in ("größe 模型.bin", "other.bin"):
                path = f"models/scores/1/{name}"
                assert files.getmember(path).isreg(), "each is a file of its own in every engine"
                assert files.extractfile(path).read() == b"weights"


@pytest.mark.parametrize("words", [("--platform", ""), ("--base", "")])
def test_an_empty_word_is_not_the_default(run, tmp_path, words):
    """As a variable that a script did not set would give it."""
    given = (*words, *(("--base", "./base") if words[0] != "--base" else ()))
    refused = run("image", "build", "scores.onnx", "--output", "out", *given, "--json")
    assert refused.code in {1, 2}
    code = json.loads(refused.out)["error"]["code"]
    assert code in {"image.platform.unknown", "image.unknown", "registry.reference"}
    assert not (tmp_path / "out").exists()
