"""`cloche export dockerfile`: what is written, and what is refused."""

from __future__ import annotations

import gzip
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import tiny_base
from ruamel.yaml import YAML

from cloche.artifacts import BuiltWheel, ContainerStart, Deployment, Lock
from cloche.clients.oci import reference as references
from cloche.errors import ClocheError
from cloche.images import content
from cloche.images.bases import base as bases
from cloche.images.bases.base import Base
from cloche.images.export import build_context, dockerfile, gzip_stream
from cloche.images.export.kaniko import EXECUTOR, Job
from cloche.images.image import Platform
from cloche.images.layering import layers
from cloche.images.layering.environment import Environment
from cloche.images.layering.place import Place
from cloche.pipeline import export
from cloche.progress import SilentProgress
from cloche.settings import Settings
from fixtures.cache import cache_folder
from formats.onnx_models import mlp

SILENT = SilentProgress()
NAME = "registry.example.com/team/triton:26.07"
DIGEST = f"sha256:{'ab' * 32}"
PINNED = f"registry.example.com/team/triton@{DIGEST}"


@pytest.fixture
def pinned(base: Base) -> Base:
    """The base, as if a registry had it."""
    return replace(base, annotations={bases.BASE_NAME: NAME, bases.BASE_DIGEST: DIGEST})


@pytest.fixture
def write(pinned: Base, asked: Deployment, settings: Settings):
    def call(folder: Path, deployment: Deployment = asked, base: Base = pinned) -> str:
        how = {"settings": settings, "progress": SILENT}
        context = export.build_context(deployment, base, **how)
        export.write_folder(context, folder, **how)
        return (folder / "Dockerfile").read_text()

    return call


def files(folder: Path) -> dict[str, tuple[int, int, bytes | str]]:
    """All below a folder: mode, time, and content or target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = b"" if path.is_dir() else None
        if path.is_symlink():
            content = str(path.readlink())
        found[str(path.relative_to(folder))] = (
            status.st_mode, int(status.st_mtime),
            path.read_bytes() if content is None else content,
        )  # fmt: skip
    return found


def instructions(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_dockerfile_says_what_the_image_is(write, asked, store, tmp_path):
    text = write(tmp_path / "out")
    assert text.startswith(dockerfile.MARK)
    lines = instructions(text)
    assert lines[:4] == [
        f"FROM {PINNED}",
        "COPY --chown=0:0 --chmod=0755 cloche/entrypoint /cloche/entrypoint",
        "COPY --chown=0:0 models/ /models/",
        "COPY --chown=0:0 cloche/golden/ /cloche/golden/",
    ]
    assert "EXPOSE 8000 8001 8002" in lines
    assert f'LABEL cloche.model.digest="{asked.main.snapshot.digest}"' in lines
    assert f'LABEL {bases.BASE_NAME}="{NAME}"' in lines
    assert lines[-4:] == ["USER 1000:1000", "WORKDIR /", 'ENTRYPOINT ["/cloche/entrypoint"]',
                          "CMD []"]  # fmt: skip
    assert "syntax=" not in text
    for file in asked.repository.files:
        assert (tmp_path / "out/models" / file.path).read_bytes() == store.read(file.digest)
    assert (tmp_path / "out/cloche/entrypoint").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out/.dockerignore").read_text().splitlines()[1] == "*"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        ".dockerignore", "Dockerfile", "cloche", "models",
    }  # fmt: skip


def test_without_a_golden_request_nothing_of_it_is_there(write, deployment, tmp_path):
    assert "golden" not in write(tmp_path / "out", deployment)
    assert not (tmp_path / "out/cloche/golden").exists()


def test_the_same_inputs_give_the_same_bytes(write, tmp_path):
    before = os.umask(0o077)
    try:
        write(tmp_path / "one")
    finally:
        os.umask(before)
    write(tmp_path / "two")
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert {time for _, time, _ in files(tmp_path / "one").values()} == {315532800}


def test_large_files_have_a_layer_each(write, monkeypatch, asked, store, tmp_path):
    large = max(asked.repository.files, key=lambda file: file.size)
    monkeypatch.setattr(layers, "LARGE", large.size)
    text = write(tmp_path / "out")
    assert "COPY --chown=0:0 weights/1/ /models/" in instructions(text)
    assert (tmp_path / "out/weights/1" / large.path).read_bytes() == store.read(large.digest)
    assert not (tmp_path / "out/models" / large.path).exists()


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ('say "hi"', r'"say \"hi\""'),
        ("$HOME ${X}", r'"\$HOME \${X}"'),
        ("a\\b\\", r'"a\\b\\"'),
        ("MIT\nRUN rm -rf /", '"MIT RUN rm -rf /"'),
    ],
)
def test_what_a_model_says_of_itself_is_one_word(write, monkeypatch, tmp_path, value, word):
    said = content._annotations
    monkeypatch.setattr(content, "_annotations", lambda each: {**said(each), "cloche.said": value})
    assert f"LABEL cloche.said={word}" in instructions(write(tmp_path / "out"))


def test_a_health_check_of_the_base_is_left_out(write, pinned, tmp_path):
    config = {**pinned.config, "config": {"Healthcheck": {"Test": ["CMD", "true"]}}}
    checked = replace(pinned, config=config)
    assert "HEALTHCHECK NONE" in instructions(write(tmp_path / "out", base=checked))


# ── where it is written ───────────────────────────────────────────────────────────────────────


def test_an_earlier_export_makes_room(write, deployment, tmp_path):
    write(tmp_path / "out")
    write(tmp_path / "out", deployment)
    assert not (tmp_path / "out/cloche/golden").exists()
    write(tmp_path / "new", deployment)
    assert files(tmp_path / "out") == files(tmp_path / "new")


@pytest.mark.parametrize(
    ("there", "why"),
    [
        ("notes.txt", "The folder has 'notes.txt'"),
        ("models", "The folder has files that no export wrote."),
        ("Dockerfile", "The folder has files that no export wrote."),
    ],
)
def test_a_folder_with_other_files_is_left_alone(write, tmp_path, there, why):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / there).write_text("mine")
    with pytest.raises(ClocheError) as refused:
        write(tmp_path / "out")
    assert refused.value.code == "export.output"
    assert refused.value.what.startswith(why)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [there]


@pytest.mark.parametrize("is_new", [True, False])
def test_nothing_half_made_is_left(write, asked, store, tmp_path, is_new):
    out = tmp_path / "out"
    if not is_new:
        write(out)
    before = files(tmp_path)
    store.blob_path(asked.repository.files[-1].digest).touch()
    with pytest.raises(ClocheError) as refused:
        write(out)
    assert refused.value.code == "image.changed"
    left = {path: entry for path, entry in files(tmp_path).items() if path.startswith("out")}
    assert left.keys() == {path for path in before if path.startswith("out")}


# ── as a user calls it ────────────────────────────────────────────────────────────────────────


@pytest.fixture
def _model(tmp_path: Path) -> None:
    onnx.save(mlp(), tmp_path / "scores.onnx")
    tiny_base.layout(tmp_path / "base")


WORDS = ("export", "dockerfile", "scores.onnx", "--output", "out")


@pytest.mark.usefixtures("_model")
@pytest.mark.parametrize(
    ("base", "hint"),
    [
        ("./base", "cloche image push ./base HOST/NAME:TAG"),
        ("base.tar", "cloche image push base.tar HOST/NAME:TAG"),
        ("cpu", "cloche image base --push --tag HOST/NAME:TAG"),
    ],
)
def test_a_base_of_this_machine_is_refused(run, tmp_path, base, hint):
    refused = run(*WORDS, "--base", base, "--json").expect(2)
    assert refused.json["error"]["code"] == "export.base"
    assert hint in refused.json["error"]["hint"]
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("_model")
def test_wrong_words_are_refused_before_anything_is_done(run, tmp_path):
    base = ("--base", "registry.invalid/triton:1")
    assert "registry.reference" in run(*WORDS, "--base", "A/b:c d").expect(2).err
    assert "image.platform" in run(*WORDS, *base, "--platform", "amd64").expect(2).err
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").write_text("mine")
    assert "export.output" in run(*WORDS, *base).expect(1).err


@pytest.mark.usefixtures("_model", "triton_installation")
def test_the_command_says_what_it_wrote(run, open_registry, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/servers").symlink_to(cache_folder() / "servers")
    name = f"{open_registry}/triton:26.07"
    pushed = run("image", "push", "./base", name, "--json").expect(0).json
    words = (*WORDS, "--base", name, "--platform", "linux/amd64")
    said = run(*words, "--json").expect(0).json
    assert (said["base"], said["base_digest"]) == (name, pushed["digest"])
    assert (said["service"], said["platform"]) == ("scores", "linux/amd64")
    assert said["path"] == str(tmp_path / "out")
    lines = instructions((tmp_path / "out/Dockerfile").read_text())
    assert lines[0] == f"FROM {open_registry}/triton@{pushed['digest']}"
    shown = run(*words).expect(0).out
    assert "DOCKER_BUILDKIT=1 docker build --tag scores out" in shown
    assert "COPY --chown=0:0 cloche/golden/ /cloche/golden/" in lines
    run(*words, "--no-golden").expect(0)
    assert "golden" not in (tmp_path / "out/Dockerfile").read_text()


def test_a_wheel_that_was_built_travels_in_the_context(pinned, asked, store):
    """No index has it, so pip finds it in the stage."""
    file = "alone-1.0-py3-none-any.whl"
    wheel = BuiltWheel("alone", "1.0", file, store.add_bytes(b"a wheel"), 7)
    lock = Lock(DIGEST, "3.12", f"alone==1.0 --hash={wheel.digest}\n", built=(wheel,))
    place = Place("cloche/environments/abc", "3.12", None)
    made = content.content_of(asked, pinned, ContainerStart(b"#", {}, ()), {}, store)
    locked = build_context.Locked(lock, Environment(place, ()))
    context = build_context.assemble(made, pinned, [locked], None, store)
    (there,) = (each for each in context.files if each.path.endswith(".whl"))
    assert (there.path, there.digest) == (f"build/abc/wheels/{file}", wheel.digest)
    (text,) = (each for each in context.files if each.path == "Dockerfile")
    lines = store.read(text.digest).decode()
    assert "COPY build/abc/wheels/ /build/wheels/\n" in lines
    assert "--find-links /build/wheels \\\n" in lines


# ── a Job of kaniko ───────────────────────────────────────────────────────────────────────────


def job(**more: str) -> dict:
    tag = references.parse("registry.example.com/team/scores:1")
    text = Job("scores", tag, Platform("linux", "arm64"), **more).text()
    assert text.startswith(dockerfile.MARK)
    return YAML(typ="safe").load(text)


def test_a_job_reads_the_context_from_its_standard_input():
    made = job()
    assert (made["kind"], made["metadata"]["name"]) == ("Job", "scores-image")
    assert made["spec"]["backoffLimit"] == 0
    pod = made["spec"]["template"]["spec"]
    assert pod["nodeSelector"]["kubernetes.io/arch"] == "arm64"
    (container,) = pod["containers"]
    assert container["image"] == EXECUTOR
    assert container["args"] == [
        "--context=tar://stdin", "--destination=registry.example.com/team/scores:1",
        "--reproducible",
    ]  # fmt: skip
    assert (container["stdin"], container["stdinOnce"]) == (True, True)
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert (container["volumeMounts"], pod["volumes"]) == ([], [])


def test_a_job_takes_credentials_and_a_volume():
    pod = job(secret="team", claim="contexts", executor="example.com/fork:1")["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "example.com/fork:1"
    assert container["args"][0] == "--context=tar:///context/context.tar.gz"
    assert "stdin" not in container
    assert [each["mountPath"] for each in container["volumeMounts"]] == [
        "/kaniko/.docker", "/context",
    ]  # fmt: skip
    credentials, context = pod["spec"]["volumes"]
    assert credentials["secret"]["secretName"] == "team"
    assert context["persistentVolumeClaim"]["claimName"] == "contexts"


def test_the_archive_holds_the_context(pinned, asked, settings, write, tmp_path):
    how = {"settings": settings, "progress": SILENT}
    context = export.build_context(asked, pinned, **how)
    made = Job("scores", references.parse("example.com/scores:1"), Platform("linux", "amd64"))
    for name in ("one", "two"):
        export.write_kaniko(context, made, tmp_path / name, **how)
    assert (
        files(tmp_path / "one")["context.tar.gz"][2]
        == (files(tmp_path / "two")["context.tar.gz"][2])
    )
    write(tmp_path / "folder")
    with tarfile.open(tmp_path / "one/context.tar.gz", "r:gz") as archive:
        names = set(archive.getnames())
        assert names == {str(path) for path in files(tmp_path / "folder")}


@pytest.mark.parametrize("size", [0, 1, 65534, 65535, 65536, 200_000])
def test_gzip_is_the_same_however_it_comes(size):
    data = bytes(n % 251 for n in range(size))
    whole = b"".join(gzip_stream.stored([data]))
    parts = (data[at : at + 1000] for at in range(0, size, 1000))
    assert gzip.decompress(whole) == data
    assert b"".join(gzip_stream.stored(parts)) == whole


@pytest.mark.usefixtures("_model")
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--tag", "A b"), "registry.reference"),
        (("--tag", f"example.com/scores@{DIGEST}"), "image.tag"),
        (("--tag", "example.com/scores:1", "--secret", "Not_one"), "export.object"),
        (("--tag", "example.com/scores:1", "--claim", "../x"), "export.object"),
        (("--tag", "example.com/scores:1", "--executor", "A b"), "registry.reference"),
        (("--tag", "example.com/scores:1"), "export.base"),
    ],
)
def test_wrong_words_for_kaniko(run, words, code):
    asked = ("export", "kaniko", "scores.onnx", "--base", "./base", "--output", "out", *words)
    assert run(*asked, "--json").expect(2).json["error"]["code"] == code
