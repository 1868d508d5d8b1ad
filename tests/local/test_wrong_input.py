"""Every wrong input, through the command line as a process: one clear error, and nothing changed.

Covered elsewhere: a real MLflow server's refusals and a cut download (`test_mlflow_source`,
`sources/test_downloads`), a golden request that fails, two deploys at once and a control plane that
is killed (`test_end_to_end`), calls that the gateway refuses (`test_gateway`).
"""

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper

from cloche.artifacts import Standing
from cloche.errors import NotFoundError
from cloche.targets.local import processes
from fixtures.command_line import COMMAND, Outcome, User, a_user, end, finished, scaled_maximum
from fixtures.local import until

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """Somebody who has deployed nothing yet."""
    with a_user() as one:
        yield one


def kept(user: User) -> dict[str, bytes]:
    """Return the files of a home that are neither cache nor a log."""
    home, cache = user.home, {"store", "servers", "environments", "logs"}
    files = [path for part in home.iterdir() if part.name not in cache for path in _files(part)]
    return {str(path.relative_to(home)): path.read_bytes() for path in files}


def _files(path: Path) -> Iterator[Path]:
    return (one for one in (path, *path.rglob("*")) if one.is_file())


def commands_of(user: User) -> set[int]:
    """Return the processes that were started for this home, the control plane's included."""
    found = set()
    for process in psutil.process_iter(["environ", "status"]):
        environment = process.info["environ"] or {}
        if environment.get("CLOCHE_HOME") == str(user.home) and process.info["status"] != "zombie":
            found.add(process.pid)
    return found


def errors_of(outcome: Outcome, *, code: int) -> list[dict[str, Any]]:
    """Return the errors of a command, which are an object on its output and nothing else."""
    assert outcome.code == code, outcome
    assert outcome.err.count("error[") == 0, outcome.err
    error = json.loads(outcome.out)["error"]
    members: list[dict[str, Any]] = error.get("errors", [error])
    for one in members:
        assert one["where"], one
        assert one["hint"], one
    return members


# ── models and references ─────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Wrong:
    """What somebody does wrong, and what they are told."""

    arrange: Callable[[Path], str]
    """Prepares the folder and returns the model reference."""
    code: str
    words: str
    exit_code: int = 1
    variables: dict[str, str] = field(default_factory=dict)


def written(name: str, data: bytes) -> Callable[[Path], str]:
    def arrange(folder: Path) -> str:
        (folder / name).write_bytes(data)
        return f"./{name}"

    return arrange


def truncated(folder: Path) -> str:
    data = scaled_maximum(folder / "whole.onnx", 1).read_bytes()
    (folder / "truncated.onnx").write_bytes(data[: len(data) // 2])
    return "./truncated.onnx"


def external(location: str) -> Callable[[Path], str]:
    """A model whose weights are in a file that is missing, or not where weights may be."""

    def arrange(folder: Path) -> str:
        weights = numpy_helper.from_array(np.zeros(4, "f4"), "w")
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        weights.external_data.add(key="location", value=location)
        tensors = [
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4])] for name in "xy"
        ]
        graph = helper.make_graph(
            [helper.make_node("Add", ["x", "w"], ["y"])], "g", *tensors, initializer=[weights]
        )
        opsets = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        (folder / "external.onnx").write_bytes(model.SerializeToString())
        return "./external.onnx"

    return arrange


def unknown_operator(folder: Path) -> str:
    tensors = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"])] for name in "xy"]
    graph = helper.make_graph([helper.make_node("Levitate", ["x"], ["y"])], "g", *tensors)
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), folder / "operator.onnx")
    return "./operator.onnx"


def broken_repository(folder: Path) -> str:
    repository = finished(folder / "broken", "broken", "x")
    (repository / "broken" / "config.pbtxt").write_text('backend: "python" max_batch_size: many')
    return "./broken"


def unresolvable(folder: Path) -> str:
    model = folder / "unresolvable"
    model.mkdir(exist_ok=True)
    tensor = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}]
    signature = json.dumps(tensor)
    (model / "MLmodel").write_text(
        "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n"
        "    model_path: model.pkl\n    python_version: 3.11.7\n    env: python_env.yaml\n"
        f"signature:\n  inputs: '{signature}'\n  outputs: '{signature}'\n"
    )
    (model / "requirements.txt").write_text("six==1.16.0\nsix==1.17.0\n")
    (model / "model.pkl").write_bytes(b"not read")
    return "./unresolvable"


def reference(text: str) -> Callable[[Path], str]:
    return lambda _: text


CLOSED = "http://127.0.0.1:9"
"""The port `discard`, where nothing answers."""

MODELS = {
    "missing": Wrong(reference("./nothere.onnx"), "source.files.missing", "no such file"),
    "a text": Wrong(written("a.onnx", b"hello\n" * 99), "source.files.text", "not a model"),
    "empty": Wrong(written("b.onnx", b""), "source.files.empty", "empty"),
    "a pickle": Wrong(written("c.pkl", b"\x80\x04K\x01."), "conversion.content", "no estimator"),
    "noise": Wrong(written("d.onnx", bytes(range(256))), "source.onnx.invalid", "ONNX"),
    "truncated": Wrong(truncated, "source.onnx.truncated", "cut off"),
    "no weights": Wrong(external("w.bin"), "source.onnx.external_missing", "w.bin"),
    "weights outside": Wrong(external("../w.bin"), "source.onnx.external_escapes", "../w.bin"),
    "an operator": Wrong(unknown_operator, "inspection.onnx.operator", "Levitate"),
    "a repository": Wrong(broken_repository, "repository.config", "config.pbtxt", 2),
    "requirements": Wrong(unresolvable, "inspection.requirements.disagree", "six==1.16.0"),
    "a scheme": Wrong(reference("s3://bucket/model"), "source.reference.scheme", "s3", 2),
    "no version": Wrong(reference("models:/m"), "source.reference.version", "version", 2),
    "no registry": Wrong(reference("models:/m@a"), "mlflow.uri.unset", "MLFLOW_TRACKING_URI", 2),
    "registry away": Wrong(
        reference("models:/m@a"), "mlflow.unreachable", CLOSED,
        variables={"MLFLOW_TRACKING_URI": CLOSED},
    ),
    "unknown name": Wrong(
        reference("models:/m@a"), "mlflow.model", "'m'", variables={"MLFLOW_TRACKING_URI": "./runs"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", MODELS.values(), ids=MODELS.keys())
def test_a_model_that_cannot_be_served(user: User, wrong: Wrong) -> None:
    (user.folder / "runs").mkdir(exist_ok=True)
    model = wrong.arrange(user.folder)
    before, running = kept(user), commands_of(user)
    outcome = user.run("deploy", model, "--name", "a", "--json", **wrong.variables)
    (error,) = errors_of(outcome, code=wrong.exit_code)
    assert error["code"] == wrong.code
    assert wrong.words in f"{error['what']} {error['where']}"
    assert commands_of(user) == running
    assert kept(user) == before


def test_a_wrong_password_is_said_without_it(user: User) -> None:
    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"You are not authenticated."  # as MLflow's basic-auth says it
            self.send_response(401)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        outcome = user.run(
            "deploy", "models:/m@a", "--name", "a", "--json",
            MLFLOW_TRACKING_URI=f"http://me:secret-1@127.0.0.1:{server.server_port}",
        )  # fmt: skip
        server.shutdown()
    (error,) = errors_of(outcome, code=1)
    assert error["code"] == "mlflow.unauthorized"
    assert "secret-1" not in outcome.out + outcome.err


# ── the spec and the command line ─────────────────────────────────────────────────────────────

SPEC = """\
name: Bad_Name
modle: ./model.onnx
model: ./model.onnx
batching: {max_batch_size: many, max_queue_delay: 5 fortnights}
replicas: 0
follow: true
"""


def test_all_mistakes_of_a_file_are_shown_with_their_lines(user: User) -> None:
    (user.folder / "cloche.yaml").write_text(SPEC)
    text = user.run("deploy").expect(2).err
    assert text.startswith("error[spec.invalid]: cloche.yaml has 6 mistakes.\n")
    for line, words in {
        1: "'Bad_Name' is not safe in DNS",
        2: "Unknown key `modle`",
        4: "'many' is not a whole number",
        5: "0 is below 1",
        6: "This version does not support `follow`",
    }.items():
        assert f"    where: cloche.yaml:{line}\n" in text
        assert words in text
    assert "'5 fortnights' is not a duration" in text
    errors = errors_of(user.run("plan", "--json"), code=2)
    assert [int(error["where"].partition(":")[2]) for error in errors] == [1, 2, 4, 4, 5, 6]
    (user.folder / "cloche.yaml").unlink()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["deploy", "m.onnx", "--name", "Bad_Name"], "spec.value", "'Bad_Name'"),
        (["deploy"], "usage.no_model", "no cloche.yaml"),
        (["deploy", "-f", "gone.yaml"], "spec.not_found", "gone.yaml"),
        (["deploy", "m.onnx", "--timeout", "soon"], "usage.arguments", "soon"),
        (["deploi", "m.onnx"], "usage.unknown_verb", "deploi"),
    ],
)
def test_a_wrong_command_line(user: User, arguments: list[str], code: str, words: str) -> None:
    outcome = user.run(*arguments, "--json")
    assert outcome.code == 2
    error = json.loads(outcome.out)["error"]
    (error,) = error.get("errors", [error])
    assert error["code"] == code
    assert words in error["what"]
    assert error["hint"]


@pytest.mark.parametrize("verb", ["deploy", "status", "down"])
def test_wrong_settings_are_all_shown(user: User, verb: str) -> None:
    outcome = user.run(*(verb, "--json"), CLOCHE_GATEWAY_PORT="http", CLOCHE_CACHE_MAX_SIZE="much")
    errors = errors_of(outcome, code=2)
    assert [error["where"] for error in errors] == ["CLOCHE_GATEWAY_PORT", "CLOCHE_CACHE_MAX_SIZE"]


# ── the machine ───────────────────────────────────────────────────────────────────────────────


def test_a_home_that_cannot_be_written(user: User) -> None:
    model = scaled_maximum(user.folder / "good.onnx", 1)
    # Nobody can make a folder there, whoever they are.
    outcome = user.run("deploy", model, "--name", "a", "--json", CLOCHE_HOME=f"{model}/home")
    (error,) = errors_of(outcome, code=1)
    assert str(model) in error["where"]
    assert "CLOCHE_HOME" in error["hint"]


def test_a_taken_port_is_said_with_who_has_it(user: User) -> None:
    model = scaled_maximum(user.folder / "good.onnx", 1)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", user.settings.gateway_port))
        holder.listen()
        (error,) = errors_of(user.run("deploy", model, "--name", "a", "--json"), code=1)
    assert error["code"] == "gateway.port_taken"
    assert f"(pid {os.getpid()})" in error["what"]
    assert "CLOCHE_GATEWAY_PORT" in error["hint"]
    until(lambda: commands_of(user) == set())


def test_a_machine_without_a_wheel_of_triton(user: User, tmp_path: Path) -> None:
    model = scaled_maximum(user.folder / "good.onnx", 1)
    (tmp_path / "sitecustomize.py").write_text(
        "import platform\nplatform.machine = lambda: 'riscv64'\n"
    )
    home = tmp_path / "home"
    outcome = user.run(
        "deploy", model, "--name", "a", "--json",
        PYTHONPATH=str(tmp_path), CLOCHE_HOME=str(home),
        PATH=str(tmp_path),  # no Docker and no Podman, which would serve it in a container
    )  # fmt: skip
    error = json.loads(outcome.expect(1).out)["error"]
    assert error["code"] == "server.triton.platform"
    assert "riscv64" in error["what"]
    assert "Use Linux on x86-64 or arm64" in error["hint"]
    assert not (home / "state.db").exists()


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[None]:
    path.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs: run the tests as root")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_full_disk_in_the_cache(user: User) -> None:
    model = user.folder / "large.onnx"
    data = scaled_maximum(model, 1).read_bytes()
    # A large metadata entry: the file is one that could be served.
    large = onnx.ModelProto.FromString(data)
    large.metadata_props.add(key="notes", value="x" * 2**21)
    model.write_bytes(large.SerializeToString())
    with small_disk(user.home / "store", "1m"):
        (error,) = errors_of(user.run("deploy", model, "--name", "a", "--json"), code=1)
    assert error["code"] == "store.full"
    assert "cloche cache clean" in error["hint"]


def test_a_full_disk_in_the_state(user: User, tmp_path: Path) -> None:
    model = scaled_maximum(user.folder / "good.onnx", 1)
    home = tmp_path / "home"
    with small_disk(home, "100k"):
        for part in ("store", "servers"):
            (home / part).symlink_to(user.home / part)
        (home / "filling").write_bytes(bytes(80 * 1024))
        outcome = user.run("deploy", model, "--name", "a", "--json", CLOCHE_HOME=str(home))
        (error,) = errors_of(outcome, code=1)
        assert "full" in error["what"]
        assert error["where"].startswith(str(home))
        assert processes.find(home) == []


# ── servers and requests ──────────────────────────────────────────────────────────────────────


def test_a_server_that_does_not_come_up_says_why_and_is_gone(user: User) -> None:
    model = finished(user.folder / "refusing", "refusing", "x")
    code = (model / "refusing" / "1" / "model.py").read_text()
    code = code.replace("time.sleep(0)", 'raise RuntimeError("the moon is wrong")')
    (model / "refusing" / "1" / "model.py").write_text(code)
    outcome = user.run("deploy", model, "--name", "refusing")
    assert outcome.code == 1
    assert outcome.err.count("error[rollout.replica]") == 1
    assert "the moon is wrong" in outcome.err
    assert "  hint: " in outcome.err
    until(lambda: "refusing-r1-0" not in user.running())
    with user.control() as control:
        (revision,) = control.revisions("refusing")
        status = control.service("refusing")
        control.delete("refusing")
    assert revision.phase is Standing.FAILED
    assert (status["live"], status["failure"]["code"]) == (None, "rollout.replica")


@pytest.fixture(scope="module")
def service(user: User) -> str:
    path = scaled_maximum(user.folder / "asked.onnx", 1)
    variables = {"CLOCHE_GATEWAY_MAX_REQUEST_BYTES": "1MiB"}
    user.run("down").expect(0)  # so that the gateway has this limit
    user.run("deploy", path, "--name", "asked", **variables).expect(0)
    return "asked"


def ask(user: User, body: bytes) -> tuple[int, str]:
    url = f"http://{user.address}/v2/models/asked/infer"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())["error"]


def given(name: str = "x", datatype: str = "FP32", shape: tuple[int, ...] = (1, 2)) -> bytes:
    tensor = {"name": name, "datatype": datatype, "shape": shape}
    return json.dumps({"inputs": [tensor | {"data": [0] * int(np.prod(shape))}]}).encode()


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (given("wrong"), 400, ["wrong", "x"]),
        (given(datatype="INT64"), 400, ["'x'", "INT64", "FP32"]),
        (given(shape=(1, 2, 3)), 400, ["'x'", "[1,2,3]", "[-1,-1]"]),
        (given(shape=(99, 2)), 400, ["batch-size", "32"]),
        (b'{"inputs": [', 500, ["parse"]),  # the status is Triton's own
        (b"x" * 2**20 + b"x", 413, ["1048576 bytes"]),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(
    user: User, service: str, body: bytes, status: int, words: list[str]
) -> None:
    code, text = ask(user, body)
    assert code == status
    for word in words:
        assert word in text
    assert ask(user, given())[0] == 200


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ('{"wrong": [[1, 2]]}', "infer.input.unknown", "'wrong'"),
        ("[1, 2, 3, [4]]", "infer.input.shape", "'x' is ragged"),
        ("{", "infer.json", "JSON"),
        ('[["a", "b"]]', "infer.input.datatype", "'x'"),
        ("[[[1, 2]]]", "infer.input.shape", "'x'"),
    ],
)
def test_a_wrong_input_is_refused_before_it_is_sent(
    user: User, service: str, text: str, code: str, words: str
) -> None:
    (user.folder / "request.json").write_text(text)
    outcome = user.run("infer", service, "--input", "request.json", "--json")
    assert outcome.code == 2
    error = json.loads(outcome.out)["error"]
    first = error.get("errors", [error])[0]
    assert (first["code"], words in first["what"]) == (code, True), first
    assert first["hint"]


# ── ctrl-C ────────────────────────────────────────────────────────────────────────────────────


def recorded(user: User) -> list[int]:
    """Return the numbers of the revisions of `stopped`."""
    with user.control() as control:
        try:
            return [revision.number for revision in control.revisions("stopped")]
        except NotFoundError:
            return []


@pytest.mark.parametrize("moment", [0.15, 0.4, 0.7, 1.0, 1.3])
def test_ctrl_c_at_any_moment(user: User, service: str, moment: float) -> None:
    """Moments are seconds of the command's own work, so that a busy machine has the same ones."""
    path = scaled_maximum(user.folder / "stopped.onnx", moment)
    before = recorded(user)
    command = user.begin("deploy", path, "--name", "stopped")
    process = psutil.Process(command.pid)

    def has_worked() -> bool:
        ended = process.status() == psutil.STATUS_ZOMBIE
        return ended or sum(process.cpu_times()[:2]) >= moment

    until(has_worked, 60)
    command.send_signal(signal.SIGINT)
    outcome = end(command)
    # A signal to an interpreter that has done all ends it as a signal does.
    assert outcome.code in {0, 130, -signal.SIGINT}, outcome
    assert "error[" not in outcome.err
    if "is recorded and goes on" in outcome.err:
        with user.control() as control:
            until(lambda: control.service("stopped")["phase"] == "live", 60)
    elif outcome.code == 130 and "If the rollout was recorded" not in outcome.err:
        assert recorded(user) == before
        assert "Nothing was deployed" in outcome.err or moment < 0.3


def test_ctrl_c_leaves_no_process_and_no_half_service(user: User, service: str) -> None:
    commands = {COMMAND[-1], "cloche"}
    left = [
        process.info["cmdline"]
        for process in psutil.process_iter(["cmdline", "environ"])
        if (process.info["environ"] or {}).get("CLOCHE_HOME") == str(user.home)
        and commands & set((process.info["cmdline"] or [])[2:3])
    ]
    assert left == []
    names = {one["service"] for one in user.run("status", "--json").expect(0).json["services"]}
    expected = {f"{name}-r" for name in names}
    for one in processes.find(user.home):
        assert one.marker.name.startswith(("gateway", *expected))
