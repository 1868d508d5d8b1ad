from __future__ import annotations

import shutil
import sys
import sysconfig
from pathlib import Path

import pytest

from cloche.errors import ClocheError
from cloche.servers import ServerAddresses
from cloche.servers.triton import TritonInstallation, process
from cloche.servers.triton.completeness import is_complete, top_level_fields
from cloche.servers.triton.process import command, shared_memory_prefix
from cloche.servers.triton.serving import lay_out

_SHARED = ".so" in (sysconfig.get_config_var("INSTSONAME") or "")
MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
COMPLETE = 'backend: "onnxruntime"\ninput [ { name: "x" } ]\noutput { name: "y" }\n'
ASKS = COMPLETE + (
    'parameters { key: "EXECUTION_ENV_PATH"'
    ' value { string_value: "$$TRITON_MODEL_DIRECTORY/environment" } }\n'
)


@pytest.fixture
def installation(tmp_path: Path) -> TritonInstallation:
    root = tmp_path / "installation"
    for minor in ("3.11", "3.12", "3.13"):
        stub = root / "stubs" / minor / "triton_python_backend_stub"
        stub.parent.mkdir(parents=True)
        stub.write_text(minor)
    return TritonInstallation(root, root / "backends", "2.51.0", "24.10", "3.12")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    for model, text in (("plain", COMPLETE), ("asking", ASKS)):
        (folder / model / "1" / "deep").mkdir(parents=True)
        (folder / model / "config.pbtxt").write_text(text)
        (folder / model / "1" / "deep" / "weights.bin").write_bytes(b"12345")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_bytes_are_those_of_the_repository(
    tmp_path: Path, tree: Path, installation: TritonInstallation
) -> None:
    serving = lay_out(
        tmp_path / "serving", tree, models=["plain"], environment=None, installation=installation
    )
    assert files(serving / "models" / "plain") == files(tree / "plain")
    assert [path.name for path in (serving / "models").iterdir()] == ["plain"]
    # What a model writes beside its files does not reach the store, and what the store drops stays.
    (serving / "models" / "plain" / "1" / "__pycache__").mkdir()
    assert not (tree / "plain" / "1" / "__pycache__").exists()
    shutil.rmtree(tree)
    assert (serving / "models/plain/1/deep/weights.bin").read_bytes() == b"12345"


def test_an_older_folder_is_replaced_and_nothing_else_is_left(
    tmp_path: Path, tree: Path, installation: TritonInstallation
) -> None:
    destination = tmp_path / "run" / "serving"
    for _ in range(2):
        lay_out(destination, tree, models=["plain"], environment=None, installation=installation)
        (destination / "models" / "stray").mkdir(exist_ok=True)
    lay_out(destination, tree, models=["plain"], environment=None, installation=installation)
    assert [path.name for path in (destination / "models").iterdir()] == ["plain"]
    assert [path.name for path in destination.parent.iterdir()] == ["serving"]


@pytest.mark.skipif(not _SHARED, reason="needs a Python with a shared libpython")
def test_a_model_that_asks_gets_environment_stub_and_libpython(
    tmp_path: Path, tree: Path, installation: TritonInstallation
) -> None:
    environment = tmp_path / "environments" / "abc"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(sys.executable)
    serving = lay_out(
        tmp_path / "serving", tree, models=["asking", "plain"], environment=environment,
        installation=installation,
    )  # fmt: skip
    model = serving / "models" / "asking"
    assert (model / "environment").readlink() == environment
    assert (model / "triton_python_backend_stub").read_text() == MINOR
    assert (serving / "libraries" / f"libpython{MINOR}.so.1.0").is_file()
    assert not (serving / "models" / "plain" / "environment").exists()


def test_what_is_missing_is_named(
    tmp_path: Path, tree: Path, installation: TritonInstallation
) -> None:
    for model, environment, code in (
        ("absent", None, "server.triton.model"),
        ("asking", None, "server.triton.environment"),
        ("asking", tmp_path / "no-such-environment", "server.triton.environment"),
    ):
        with pytest.raises(ClocheError) as caught:
            lay_out(
                tmp_path / "serving", tree, models=[model], environment=environment,
                installation=installation,
            )  # fmt: skip
        assert caught.value.code == code
    assert sorted(path.name for path in tmp_path.iterdir()) == ["installation", "tree"]


def test_a_python_without_a_stub_is_refused(installation: TritonInstallation) -> None:
    assert installation.stub("3.12.4") == installation.stub("3.12")
    with pytest.raises(ClocheError) as caught:
        installation.stub("3.14")
    assert caught.value.code == "server.triton.stub"
    assert "3.13" in (caught.value.hint or "")


def test_the_command_keeps_to_loopback_and_passes_no_secret_on(
    tmp_path: Path, tree: Path, installation: TritonInstallation
) -> None:
    serving = lay_out(
        tmp_path / "serving", tree, models=["plain"], environment=None, installation=installation
    )
    given = {"HOME": "/home/u", "AWS_SECRET_ACCESS_KEY": "s", "MLFLOW_TRACKING_PASSWORD": "s",
             "PATH": "/evil", "LD_PRELOAD": "/evil.so", "PYTHONPATH": "/evil"}  # fmt: skip
    started = command(
        installation,
        serving,
        ServerAddresses("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"),
        identity="x-r1-0",
        environment=given,
    )
    text = " ".join([*started.argv, *started.env.values()])
    assert "evil" not in text
    assert started.env["HOME"] == "/home/u"
    assert not {"AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD"} & started.env.keys()
    for kind, port in (("http", 1), ("grpc", 2), ("metrics", 3)):
        assert f"--{kind}-address=127.0.0.1" in started.argv
        assert f"--{kind}-port={port}" in started.argv
    assert "--model-control-mode=none" in started.argv
    assert "--disable-auto-complete-config" in started.argv
    restricted = [a for a in started.argv if "restricted" in a]
    assert len(restricted) == 2
    assert all("shared-memory,model-repository,trace,logging" in a for a in restricted)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", set()),
        ("input [ { name: 'output' } ]", {"input"}),
        ('name: "input { output"  # output\noutput: { name: "y" }', {"name", "output"}),
        ("input < name: 'a' > output [\n{ dims: [ 1, -1 ] }, { } ]", {"input", "output"}),
        ("max_batch_size: 8\nparameters { key: \"input\" value { string_value: \"\\\"}\" } }",
         {"max_batch_size", "parameters"}),
    ],
)  # fmt: skip
def test_top_level_fields_of_a_configuration(text: str, fields: set[str]) -> None:
    assert top_level_fields(text) == fields


def test_a_python_model_may_fill_in_more(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    assert not is_complete(tmp_path)
    (tmp_path / "config.pbtxt").write_text(COMPLETE)
    assert is_complete(tmp_path)
    (tmp_path / "1" / "model.py").write_text("def auto_complete_config(config): ...")
    assert not is_complete(tmp_path)


def test_shared_memory_of_one_replica_only_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloche.servers.triton.process._SHARED_MEMORY", tmp_path)
    serving = tmp_path / "serving"
    prefixes = {i: shared_memory_prefix(serving, i) for i in ("a-r1-1", "a-r1-10")}
    others = shared_memory_prefix(tmp_path / "other", "a-r1-1")
    for prefix in (*prefixes.values(), others):
        (tmp_path / f"{prefix}0000").touch()
    assert process.clean(serving, "a-r1-1") == 1
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f"{prefixes['a-r1-10']}0000", f"{others}0000"}


def test_what_a_replica_leaves_is_in_a_folder_of_its_own_which_is_removed(
    tmp_path: Path, tree: Path, installation: TritonInstallation
) -> None:
    serving = lay_out(
        tmp_path / "serving", tree, models=["plain"], environment=None, installation=installation
    )
    given = {"TMPDIR": "/tmp", "HOME": "/home/u", "ORT_DISABLE_TELEMETRY": "0"}
    folders = []
    at = ServerAddresses("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3")
    for identity in ("x-r1-0", "x-r1-1", "x-r1-0"):
        started = command(installation, serving, at, identity=identity, environment=given)
        assert len({started.env[name] for name in ("TMPDIR", "MPLCONFIGDIR", "KERAS_HOME")}) == 1
        assert started.env["ORT_DISABLE_TELEMETRY"] == "1"
        folders.append(Path(started.env["TMPDIR"]))
    assert folders[0] == folders[2] != folders[1]
    for folder in folders[:2]:
        assert folder.parent == serving
        (folder / "code.py").touch()
    process.clean(serving, "x-r1-0")
    assert not folders[0].exists()
    assert (folders[1] / "code.py").exists()
