"""What a model's code reaches of the machine that serves it, on real Triton."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import tarfile
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from cloche.sandbox import trial
from fixtures.asking import NO_WAIT, Answer
from fixtures.asking import ask as ask_one
from fixtures.command_line import User, a_user, finished
from fixtures.kernels import lacking
from fixtures.load import ready
from fixtures.local import until
from fixtures.places import LocalPlace

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not trial.held().files, reason="needs a kernel with Landlock"),
]

_CONFIGURATION = """
backend: "python"
max_batch_size: 0
input [{ name: "ask" data_type: TYPE_STRING dims: [1] }]
output [{ name: "told" data_type: TYPE_STRING dims: [1] }]
instance_group [{ kind: KIND_CPU count: 1 }]
"""
_MODEL = """
import json
import os
import pathlib
import socket

import numpy as np
import triton_python_backend_utils as utils


class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            asked = utils.get_input_tensor_by_name(request, "ask").as_numpy()[0].decode()
            try:
                told = eval(asked)
            except OSError as error:
                told = type(error).__name__
            told = np.array([json.dumps(told, default=str).encode()], np.object_)
            answers.append(utils.InferenceResponse([utils.Tensor("told", told)]))
        return answers
"""
"""Says what comes of an expression."""
_SECRETS = (".ssh/id_ed25519", ".aws/credentials", ".netrc", ".cache/huggingface/token")


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """Somebody who has secrets at home and in their variables."""
    with a_user(cleans=True) as one:
        person = one.folder / "person"
        for secret in _SECRETS:
            (person / secret).parent.mkdir(parents=True, exist_ok=True)
            (person / secret).write_text("secret")
        variables = {"HOME": str(person), "AWS_SECRET_ACCESS_KEY": "secret", "HF_TOKEN": "secret",
                     "MLFLOW_TRACKING_PASSWORD": "secret"}  # fmt: skip
        yield replace(one, environment={**one.environment, **variables})


def spying(user: User, name: str, **spec: Any) -> dict[str, Any]:
    """Deploy a model that does what it is asked, and return what the command said."""
    model = user.folder / name / name
    (model / "1").mkdir(parents=True, exist_ok=True)
    (model / "config.pbtxt").write_text(f'name: "{name}"\n{_CONFIGURATION}')
    (model / "1" / "model.py").write_text(_MODEL)
    given = {"name": "ask", "shape": [1], "datatype": "BYTES", "data": ["1 + 1"]}
    (user.folder / "example.json").write_text(json.dumps({"inputs": [given]}))
    written = {"name": name, "model": f"./{name}", "example": "./example.json", **spec}
    (user.folder / f"{name}.yaml").write_text(json.dumps(written))
    done = user.run("deploy", "-f", f"{name}.yaml", "--json").expect(0).json
    return dict(done)


def ask(user: User, name: str, expression: str) -> Any:
    """Return what an expression gives in the model's process, or the name of its error."""
    given = {"name": "ask", "datatype": "BYTES", "shape": [1], "data": [expression]}
    url = f"http://{user.address}/v2/models/{name}/infer"
    with urllib.request.urlopen(url, json.dumps({"inputs": [given]}).encode(), 60) as answer:
        return json.loads(json.load(answer)["outputs"][0]["data"][0])


@pytest.fixture(scope="module")
def spy(user: User) -> str:
    assert not [each for each in spying(user, "spy")["findings"] if "sandbox" in each["code"]]
    (replica,) = user.service("spy")["replicas"]["items"]
    assert replica["closed"] == ["files"]
    return "spy"


@pytest.fixture(scope="module")
def neighbour(user: User) -> Path:
    """The repository of another service."""
    repository = finished(user.folder / "neighbour", "neighbour", "x * 2")
    user.run("deploy", repository, "--name", "neighbour", "--json").expect(0)
    (revision,) = (user.home / "run" / "revisions").glob("neighbour-*")
    return revision / "serving" / "models" / "neighbour" / "config.pbtxt"


def test_it_reads_nothing_of_the_user(user: User, spy: str, neighbour: Path) -> None:
    person = Path(user.environment["HOME"])
    secrets = [*(person / each for each in _SECRETS), user.home / "token", user.home / "state.db",
               neighbour, Path("/etc/shadow")]  # fmt: skip
    for path in secrets:
        assert path.exists()
        told = ask(user, spy, f"open({str(path)!r}, 'rb').read(1).hex()")
        assert told in {"PermissionError", "FileNotFoundError", ""}, path
    others = {path.parts[len(person.parts)] for path in map(person.joinpath, _SECRETS)}
    others |= {"token", "state.db", "store", "neighbour", "spy.yaml"}
    for folder in (person, user.home, user.folder, user.home / "run" / "revisions", Path("/tmp")):
        told = ask(user, spy, f"os.listdir({str(folder)!r})")
        assert told in ("PermissionError", "FileNotFoundError") or not others & set(told), folder


def test_it_starts_at_home(user: User, spy: str) -> None:
    assert ask(user, spy, "os.getcwd() == os.environ['HOME']") is True
    assert "token" not in ask(user, spy, "os.listdir('../../../../..')")


def test_it_has_no_variable_of_the_user(user: User, spy: str) -> None:
    told = ask(user, spy, "dict(os.environ)")
    assert "secret" not in told.values()
    assert not {"AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "MLFLOW_TRACKING_PASSWORD"} & told.keys()
    assert told["HOME"] == told["TMPDIR"] != user.environment["HOME"]
    control = user.control_pid()
    assert ask(user, spy, f"len(open('/proc/{control}/environ').read())") == "PermissionError"


def test_it_writes_in_its_own_folder_alone(user: User, spy: str, neighbour: Path) -> None:
    (revision,) = (user.home / "run" / "revisions").glob(f"{spy}-*")
    serving = revision / "serving"
    sockets = user.home / "run" / "sockets"
    for path in (
        Path(user.environment["HOME"], "made"), user.home / "made", serving / "made",
        serving / "models" / spy / "1" / "made", neighbour, sockets / "made",
        serving / "models" / spy / "1" / "model.py", user.folder / "made", Path("/usr/made"),
        Path("/etc/made"), Path("/var/tmp/made"), Path("/dev/made"),
    ):  # fmt: skip
        before = path.read_bytes() if path.name != "made" else None
        told = ask(user, spy, f"open({str(path)!r}, 'a').write('1')")
        # What it makes in a temporary folder is in one of its own.
        assert told in {"PermissionError", "FileNotFoundError", "OSError"} or (
            before is None and path.is_relative_to("/tmp")
        ), path
        assert (path.read_bytes() if path.exists() else None) == before, path
    kept = "pathlib.Path.home().joinpath('made').write_text('1')"
    assert ask(user, spy, kept) == 1
    assert ask(user, spy, "open('/dev/null', 'w').write('1')") == 1
    assert ask(user, spy, "open('/dev/stderr', 'a').write('it was here\\n')") == 12
    until(lambda: "it was here" in user.run("logs", spy).expect(0).out, 20)


def test_it_reads_what_everybody_does(user: User, spy: str, tmp_path: Path) -> None:
    assert ask(user, spy, "open('/etc/hosts').read() != ''") is True
    assert ask(user, spy, "open('/proc/meminfo').read() != ''") is True
    assert ask(user, spy, "__import__('subprocess').run(['/bin/ls', '/usr']).returncode") == 0
    assert ask(user, spy, "__import__('ssl').create_default_context() is not None") is True


def test_it_signals_nobody_and_keeps_the_network(user: User, spy: str) -> None:
    assert ask(user, spy, f"os.kill({user.control_pid()}, 0)") == "PermissionError"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert "127.0.0.1" in ask(user, spy, f"socket.create_connection(('127.0.0.1', {port}), 5)")


@pytest.mark.skipif(not trial.held().sockets, reason="needs namespaces of mounts for this user")
def test_it_finds_no_agent_and_no_socket_of_a_service(user: User, spy: str) -> None:
    path = Path(user.environment["HOME"], "agent")
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(path))
        agent.listen()
        connect = f"socket.socket(socket.AF_UNIX).connect({str(path)!r})"
        assert ask(user, spy, connect) == "FileNotFoundError"
    assert ask(user, spy, "open('/tmp/own', 'w').write('1')") == 1
    assert not Path("/tmp/own").exists()


@pytest.mark.skipif(not trial.held().network, reason="needs a kernel that closes the network")
def test_without_a_network_it_reaches_nobody(user: User) -> None:
    spying(user, "apart", sandbox={"network": False})
    assert ask(user, "apart", "1 + 1") == 2
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert (
            ask(user, "apart", f"socket.create_connection(('127.0.0.1', {port}), 5)") == "OSError"
        )
    datagram = "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'1', ('127.0.0.1', 9))"
    assert ask(user, "apart", datagram) == "OSError"
    told = user.run("status", "apart").expect(0).out
    assert "the model's code has no network" in told


def test_a_user_opens_files_and_they_are_at_their_place(user: User, tmp_path: Path) -> None:
    person = Path(user.environment["HOME"])
    words = person / "words" / "english"
    words.parent.mkdir()
    words.write_text("hello")
    logs = user.folder / "answers"
    logs.mkdir()
    opened = {"read": ["~/words"], "write": [str(logs)]}
    spying(user, "opened", sandbox=opened)
    assert (
        ask(user, "opened", "pathlib.Path.home().joinpath('words/english').read_text()") == "hello"
    )
    assert ask(user, "opened", f"open({str(words)!r}).read()") == "hello"
    assert ask(user, "opened", f"open({str(words)!r}, 'a').close()") in {
        "PermissionError", "OSError"
    }  # fmt: skip
    assert ask(user, "opened", f"open({str(logs / 'log')!r}, 'w').write('1')") == 1
    assert (logs / "log").read_text() == "1"
    told = ask(user, "opened", f"open({str(person / '.netrc')!r}).read()")
    assert told in {"PermissionError", "FileNotFoundError"}


def test_a_model_that_lacks_a_file_is_told_how_to_open_it(user: User) -> None:
    person = Path(user.environment["HOME"])
    repository = finished(user.folder / "lacks", "lacks", f"open({str(person / '.netrc')!r})")
    code = repository / "lacks" / "1" / "model.py"
    code.write_text(f"open({str(person / '.netrc')!r})\n{code.read_text()}")
    done = user.run("deploy", repository, "--name", "lacks", "--json").expect(1).json
    assert "`sandbox: {read: [PATH]}`" in done["failure"]["hint"]
    assert ".netrc" in "".join(done["failure"]["log"])


def test_an_environment_in_an_archive_is_unpacked(user: User) -> None:
    repository = finished(
        user.folder / "packed", "packed", "x * int(__import__('os').environ['FACTOR'])"
    )
    model = repository / "packed"
    configuration = (model / "config.pbtxt").read_text()
    named = "$$TRITON_MODEL_DIRECTORY/own.tar.gz"
    asks = f'parameters {{ key: "EXECUTION_ENV_PATH" value {{ string_value: "{named}" }} }}'
    (model / "config.pbtxt").write_text(f"{configuration}{asks}\n")
    contents = {"bin/activate": b"export FACTOR=3\n", "lib/nothing": b""}
    with tarfile.open(model / "own.tar.gz", "w:gz") as archive:
        for name, data in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    user.run("deploy", repository, "--name", "packed", "--json").expect(0)
    (user.folder / "x.json").write_text('{"x": [1, 2, 3, 4]}')
    answer = user.run("infer", "packed", "--input", "x.json", "--json").expect(0).json
    assert answer["outputs"][0]["data"] == [3, 6, 9, 12]


def test_a_sandbox_that_is_off_is_said(user: User) -> None:
    done = spying(user, "off", sandbox={"files": False})
    (finding,) = [each for each in done["findings"] if each["code"] == "sandbox.off"]
    assert "sandbox.files" in finding["what"]
    assert "sandbox: none" in user.run("status", "off").expect(0).out
    plan = user.run("plan", "-f", "off.yaml", "--name", "other").expect(0).out
    assert "sandbox.off" in plan
    person = Path(user.environment["HOME"])
    assert ask(user, "off", f"open({str(person / '.netrc')!r}).read()") == "secret"
    assert ask(user, "off", "os.environ['HOME']") == str(person)
    assert "HF_TOKEN" not in ask(user, "off", "dict(os.environ)")


def test_what_cannot_be_opened_is_refused_before_anything_changes(user: User) -> None:
    spec = {"name": "spy", "model": "./spy", "sandbox": {"read": ["/nowhere/words"]}}
    (user.folder / "wrong.yaml").write_text(json.dumps(spec))
    for verb in ("plan", "deploy"):
        told = user.run(verb, "-f", "wrong.yaml").expect(2)
        assert "/nowhere/words, which does not exist" in told.err


def test_a_replica_is_ended_restarted_and_adopted_in_its_sandbox(user: User, spy: str) -> None:
    (replica,) = user.service(spy)["replicas"]["items"]
    (process,) = [each for each in psutil.process_iter() if each.pid == replica["pid"]]
    assert process.name() == "tritonserver"
    assert os.getsid(process.pid) == process.pid
    os.kill(user.control_pid(), signal.SIGKILL)
    until(lambda: user.run("status", spy, "--json").code == 0, 60)
    until(lambda: ready(user, spy) == 1, 60)
    (adopted,) = user.service(spy)["replicas"]["items"]
    assert (adopted["pid"], adopted["restarts"]) == (replica["pid"], replica["restarts"])
    user.run("restart", spy).expect(0)
    until(lambda: len(user.service(spy)["replicas"]["items"]) == 1, 60)
    (restarted,) = user.service(spy)["replicas"]["items"]
    assert restarted["pid"] != replica["pid"]
    assert ask(user, spy, f"os.listdir({user.environment['HOME']!r})") in {
        "PermissionError", "FileNotFoundError",
    }  # fmt: skip


@pytest.mark.parametrize("missing", ["libc.unshare(", "libc.syscall("])
def test_what_a_kernel_lacks_keeps_nothing_from_serving(
    local_place: LocalPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    lacking(tmp_path, monkeypatch, missing)
    local_place.serve("demo", {1: 1})
    (replica,) = local_place.of("demo", 1)
    assert ask_one(str(replica.url), "demo") == Answer(200, None, (2 * NO_WAIT,))


def test_doctor_says_what_holds(user: User) -> None:
    checks = user.run("doctor", "--json").json["checks"]
    (check,) = [each for each in checks if each["name"] == "sandbox"]
    held = trial.held()
    assert check["state"] == ("ok" if held.sockets and held.network else "warning")
