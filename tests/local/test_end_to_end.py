"""Everything real, as a user meets it: the command line, Triton, Envoy, clients of Triton."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tritonclient.grpc as over_grpc
import tritonclient.grpc.aio as over_grpc_aio
import tritonclient.http as over_http
from tritonclient.utils import InferenceServerException

from cloche.artifacts import Standing
from cloche.clients.control.record import is_running
from fixtures.command_line import User, a_user, end, ensemble, finished, in_fives, scaled_maximum
from fixtures.load import Load, grpc_input, ready, rows
from fixtures.local import is_up, until

LARGE = 64 * 2**20
SHARED_MEMORY = Path("/dev/shm")
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with a_user() as one:
        yield one


@pytest.fixture(scope="module")
def largest(user: User) -> Path:
    """A file whose model answers with the largest number of each row, deployed as `largest`."""
    path = scaled_maximum(user.folder / "largest.onnx", 1)
    user.deploy(path, "largest")
    return path


def http_input(array: np.ndarray) -> list[over_http.InferInput]:
    given = over_http.InferInput("x", list(array.shape), "FP32")
    given.set_data_from_numpy(array)
    return [given]


def get(user: User, path: str) -> tuple[int, dict[str, str], Any]:
    """Ask the gateway for something, as a browser would."""
    try:
        with urllib.request.urlopen(f"http://{user.address}{path}", timeout=30) as answer:
            return answer.status, dict(answer.headers), json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


# ── a deploy, and what it gives ───────────────────────────────────────────────────────────────


def test_a_model_that_takes_no_made_up_input_is_served_with_an_example(user: User) -> None:
    in_fives(user.folder / "fives.onnx")
    unknown = user.deploy(user.folder / "fives.onnx", "fives")
    assert unknown["verification"]["judge"] == "none"
    text = "name: fives\nmodel: ./fives.onnx\nexample: ./ten.json\n"
    (user.folder / "fives.yaml").write_text(text)
    absent = user.run("deploy", "-f", "fives.yaml", "--json").expect(2).json["error"]
    assert (absent["code"], absent["where"]) == ("spec.example", str(user.folder / "ten.json"))
    (user.folder / "ten.json").write_text('{"x": [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]}')
    first = user.run("deploy", "-f", "fives.yaml", "--json").expect(0).json
    assert (first["phase"], first["verification"]["origin"]) == ("live", "given")
    again = user.run("deploy", "-f", "fives.yaml", "--json").expect(0).json
    assert (again["change"], again["revision"]) == ("none", first["revision"])
    (user.folder / "ten.json").write_text('{"x": [[9, 9, 9, 9, 9, 1, 1, 1, 1, 1]]}')
    planned = user.run("plan", "-f", "fives.yaml", "--json").expect(0).json
    assert "example.digest" in [change["field"] for change in planned["changes"]]
    second = user.run("deploy", "-f", "fives.yaml", "--json").expect(0).json
    assert second["revision"] == first["revision"] + 1


def test_a_file_becomes_a_verified_service(user: User) -> None:
    path = scaled_maximum(user.folder / "first.onnx", 3)
    made = user.run("deploy", path, "--name", "first", "--json").expect(0).json
    assert (made["service"], made["revision"], made["phase"]) == ("first", 1, "live")
    assert made["change"] == "revision"
    assert (made["model"]["source"], made["model"]["version"]) == ("files", None)
    assert made["model"]["digest"].startswith("sha256:")
    assert made["http"] == f"http://{user.address}/v2/models/first/infer"
    assert made["grpc"] == user.address
    assert (made["verification"]["passed"], made["verification"]["origin"]) == (True, "made")
    again = user.run("deploy", "./first.onnx", "--name", "first", "--json").expect(0).json
    assert again["change"] == "none"
    ignored = ("change", "model")
    assert {k: v for k, v in again.items() if k not in ignored} == {
        k: v for k, v in made.items() if k not in ignored
    }
    status = user.run("status", "--json").expect(0).json
    assert status["gateway"]["ready"]
    service = next(one for one in status["services"] if one["service"] == "first")
    assert service["model"] == made["model"]
    assert (service["replicas"]["wanted"], service["replicas"]["ready"]) == (1, 1)
    (user.folder / "x.json").write_text("[[1, 2], [5, 4]]")
    answer = user.run("infer", "first", "--input", "x.json", "--json").expect(0).json
    assert (answer["revision"], answer["outputs"][0]["data"]) == (1, [6.0, 15.0])
    assert user.run("verify", "first", "--json").expect(0).json["passed"]
    user.run("delete", "first", "--yes").expect(0)
    assert user.run("status", "first").expect(1).err.startswith("error[service.unknown]")
    assert get(user, "/v2/models/first")[0] == 404
    assert not [name for name in user.running() if name.startswith("first-")]


# ── clients ───────────────────────────────────────────────────────────────────────────────────


def test_an_unchanged_http_client_works(user: User, largest: Path) -> None:
    with over_http.InferenceServerClient(user.address, concurrency=4) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("largest")
        assert [one["name"] for one in client.get_model_metadata("largest")["inputs"]] == ["x"]
        assert client.get_model_config("largest")["max_batch_size"] > 1
        asked = [client.async_infer("largest", http_input(rows(n))) for n in range(8)]
        assert [one.get_result().as_numpy("y").item() for one in asked] == list(range(8))
        for algorithm in ("gzip", "deflate"):
            answer = client.infer(
                "largest",
                http_input(np.arange(1000, dtype="f4")[None]),
                request_compression_algorithm=algorithm,
                response_compression_algorithm=algorithm,
            )
            assert answer.as_numpy("y").item() == 999
        counted = client.get_inference_statistics("largest")["model_stats"][0]
        assert counted["inference_stats"]["success"]["count"] >= 10
        large = np.zeros((1, LARGE // 4), "f4")
        large[0, -1] = 7
        assert client.infer("largest", http_input(large)).as_numpy("y").item() == 7


def test_an_unchanged_grpc_client_works(user: User, largest: Path) -> None:
    with over_grpc.InferenceServerClient(user.address) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("largest")
        assert client.get_model_metadata("largest").inputs[0].name == "x"
        assert client.get_model_config("largest").config.max_batch_size > 1
        assert client.get_inference_statistics("largest").model_stats[0].name == "largest"
        answers: queue.Queue[Any] = queue.Queue()

        def keep(result: Any, error: Any) -> None:
            answers.put(error or result.as_numpy("y").item())

        for number in range(8):
            client.async_infer("largest", grpc_input(rows(number)), keep)
        assert {answers.get(timeout=60) for _ in range(8)} == set(range(8))
        client.start_stream(keep)
        for number in range(8):
            client.async_stream_infer("largest", grpc_input(rows(number)))
        assert [answers.get(timeout=60) for _ in range(8)] == list(range(8))
        client.stop_stream()
        large = np.zeros((1, LARGE // 4), "f4")
        large[0, -1] = 7
        assert client.infer("largest", grpc_input(large)).as_numpy("y").item() == 7


def test_compressed_messages_go_by_metadata_and_say_so(user: User, largest: Path) -> None:
    with over_grpc.InferenceServerClient(user.address) as client:
        named = {"cloche-service": "largest"}
        answer = client.infer(
            "largest", grpc_input(rows(5)), headers=named, compression_algorithm="gzip"
        )
        assert answer.as_numpy("y").item() == 5
        with pytest.raises(InferenceServerException, match="cloche-service"):
            client.infer("largest", grpc_input(rows(5)), compression_algorithm="gzip")


def test_an_asynchronous_client_works(user: User, largest: Path) -> None:
    async def ask() -> list[float]:
        async with over_grpc_aio.InferenceServerClient(user.address) as client:
            asked = [client.infer("largest", grpc_input(rows(n))) for n in range(8)]
            return [one.as_numpy("y").item() for one in await asyncio.gather(*asked)]

    assert asyncio.run(ask()) == list(range(8))


def test_an_answer_names_its_revision_and_a_request_may_ask_for_one(
    user: User, largest: Path
) -> None:
    live = str(user.service("largest")["live"])
    with over_http.InferenceServerClient(user.address) as client:
        answer = client.infer("largest", http_input(rows(1)), headers={"cloche-revision": live})
        assert answer.get_response()["model_name"] == "largest"
        with pytest.raises(InferenceServerException, match="revision"):
            client.infer("largest", http_input(rows(1)), headers={"cloche-revision": "999"})
    assert get(user, "/v2/models/largest")[1]["cloche-revision"] == live


def test_what_changes_a_server_does_not_pass(user: User, largest: Path) -> None:
    with over_http.InferenceServerClient(user.address) as client:
        for forbidden in (
            client.get_model_repository_index,
            lambda: client.unload_model("largest"),
            client.get_system_shared_memory_status,
            lambda: client.update_trace_settings("largest", {"trace_level": ["OFF"]}),
            lambda: client.update_log_settings({"log_verbose_level": 1}),
        ):
            with pytest.raises(InferenceServerException):
                forbidden()


# ── changes under load ────────────────────────────────────────────────────────────────────────


def test_no_request_is_lost_by_deploys_and_scaling(user: User) -> None:
    path = scaled_maximum(user.folder / "rolling.onnx", 10)
    user.deploy(path, "rolling")
    with Load(user.address, "rolling") as load:
        for number in (2, 3):
            scaled_maximum(path, 10.0 * number)
            assert user.deploy(path, "rolling")["revision"] == number
            load.more()
        for replicas in (3, 1):
            scaled = user.run("scale", "rolling", str(replicas), "--json").expect(0).json
            assert scaled["revision"] == 3
            until(lambda wanted=replicas: ready(user, "rolling") == wanted, 60)
            load.more()
    assert load.failures == []
    assert {answer for answer, _ in load.answers} == {10, 20, 30}
    wrong = Counter(one for one in load.answers if one[1] and one[0] != 10 * one[1])
    assert not wrong
    assert load.answers[-1][0] == 30
    history = user.run("history", "rolling", "--json").expect(0).json
    assert sorted(one["phase"] for one in history["revisions"]) == ["live", "retired", "retired"]


# ── what fails leaves what was ────────────────────────────────────────────────────────────────


def test_the_versions_of_a_finished_repository_are_asked_by_number(user: User) -> None:
    repository = user.folder / "numbered"
    for version in ("2", "30"):
        finished(repository, "numbered", f"x * {version}")
        (repository / "numbered" / "1").rename(repository / "numbered" / version)
    configuration = repository / "numbered" / "config.pbtxt"
    configuration.write_text(configuration.read_text() + "version_policy: { all {} }\n")
    user.deploy(repository, "numbered")
    given = np.array([1, 2, 3, 4], "f4")
    with over_http.InferenceServerClient(user.address) as http:
        for version, factor in (("2", 2), ("30", 30), ("", 30)):
            answer = http.infer("numbered", http_input(given), model_version=version)
            np.testing.assert_array_equal(answer.as_numpy("y"), given * factor)
        assert http.is_model_ready("numbered", "2")
        with pytest.raises(InferenceServerException, match="version 7"):
            http.infer("numbered", http_input(given), model_version="7")
    with over_grpc.InferenceServerClient(user.address) as grpc:
        answer = grpc.infer("numbered", grpc_input(given), model_version="2")
        np.testing.assert_array_equal(answer.as_numpy("y"), given * 2)


def test_a_failed_golden_request_leaves_what_was_live(user: User) -> None:
    good = finished(user.folder / "judged", "judged", "x + 1")
    made = user.deploy(good, "judged")
    assert (made["verification"]["judge"], made["verification"]["passed"]) == ("smoke", True)
    for number, (answer, words) in enumerate(
        {
            "x[:2]": "has the shape [2] where [4] is declared",
            "missing": "name 'missing' is not defined",
        }.items(),
        2,
    ):
        finished(user.folder / "judged", "judged", answer)
        failed = user.deploy(good, "judged", code=1)
        assert (failed["revision"], failed["phase"]) == (number, "failed")
        assert failed["error"]["code"] == "rollout.verification"
        assert words in failed["error"]["what"]
        service = user.service("judged")
        assert (service["live"], service["revision"], service["phase"]) == (1, 1, "failed")
        until(lambda: ready(user, "judged") == 1)
        with over_http.InferenceServerClient(user.address) as client:
            given = http_input(np.ones(4, "f4"))
            assert client.infer("judged", given).as_numpy("y").tolist() == [2] * 4


NAMES = ("chain", "pipeline")


def test_an_ensemble_answers_under_its_own_name(user: User) -> None:
    made = user.deploy(ensemble(user.folder / "chain"), "chain")
    assert made["verification"]["judge"] == "smoke"
    assert made["http"] == f"http://{user.address}/v2/models/pipeline/infer"
    assert get(user, "/v2/models/pipeline/ready")[0] == 200
    (user.folder / "x.json").write_text("[1, 2, 3, 4]")
    answer = user.run("infer", "chain", "--input", "x.json", "--json").expect(0).json
    assert answer["outputs"][0]["data"] == [4, 8, 12, 16]
    assert user.run("verify", "chain", "--json").expect(0).json["passed"]
    # The first one keeps its address, also where a later service is called like the model.
    later = finished(user.folder / "later", "pipeline", "x")
    made = user.deploy(later, "pipeline")
    port = user.settings.gateway_port
    assert made["http"] == f"http://pipeline.localhost:{port}/v2/models/pipeline/infer"
    assert user.service("chain")["http"] == f"http://{user.address}/v2/models/pipeline/infer"
    answers = [user.run("infer", name, "--input", "x.json", "--json") for name in NAMES]
    assert [one.json["outputs"][0]["data"][3] for one in answers] == [16, 4]
    for name in NAMES:
        user.run("delete", name, "--yes").expect(0)


def test_the_later_of_two_deploys_wins(user: User) -> None:
    slow = finished(user.folder / "slow", "raced", "x", seconds=20)
    quick = finished(user.folder / "quick", "raced", "x * 2")
    first = user.begin("deploy", slow, "--name", "raced", "--json")
    until(lambda: "raced-r1-0" in user.running(), 60)
    assert user.deploy(quick, "raced")["revision"] == 2
    superseded = end(first).expect(3).json
    assert superseded["error"]["code"] == "deploy.superseded"
    assert superseded["phase"] == "superseded"
    until(lambda: ready(user, "raced") == 1, 60)
    assert user.running().count("raced-r1-0") == 0
    user.run("delete", "raced", "--yes").expect(0)


# ── kill -9 ───────────────────────────────────────────────────────────────────────────────────


def killed(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_up(pid))


def test_a_deploy_goes_on_after_kill_9_of_the_control_plane(user: User, largest: Path) -> None:
    path = scaled_maximum(user.folder / "cut.onnx", 4)
    waiting = user.begin("deploy", path, "--name", "cut", "--json")
    until(lambda: "cut-r1-0" in user.running(), 60)
    killed(user.control_pid())
    assert end(waiting).expect(0).json["phase"] == "live"
    # And with nobody waiting for it: the next command brings the control plane back.
    scaled_maximum(path, 5)
    user.deploy(path, "cut", "--no-wait")
    until(lambda: "cut-r2-0" in user.running(), 60)
    killed(user.control_pid())
    until(lambda: not is_running(user.home))  # its last thread may take a moment longer
    user.run("status").expect(0)
    with user.control() as control:
        until(lambda: control.revision("cut", 2).phase is Standing.LIVE, 60)
    until(lambda: ready(user, "cut") == 1)
    user.run("delete", "cut", "--yes").expect(0)


def test_services_go_on_without_the_control_plane_and_are_adopted(
    user: User, largest: Path
) -> None:
    def pids() -> tuple[int, list[int]]:
        status = user.run("status", "--json").expect(0).json
        service = next(one for one in status["services"] if one["service"] == "largest")
        assert service["replicas"]["ready"] == 1
        return status["gateway"]["pid"], [one["pid"] for one in service["replicas"]["items"]]

    before = pids()
    with Load(user.address, "largest") as load:
        killed(user.control_pid())
        load.more()
        assert pids() == before
        load.more()
    assert load.failures == []


def test_a_killed_server_and_a_killed_gateway_come_back(user: User, largest: Path) -> None:
    with user.control() as control:
        replica = control.service("largest")["replicas"]["items"][0]
        killed(replica["pid"])

        def is_back() -> bool:
            now = control.service("largest")["replicas"]["items"][0]
            return bool(now["phase"] == "ready" and now["pid"] != replica["pid"])

        until(is_back, 60)
        gateway = control.status()["gateway"]["pid"]
        killed(gateway)
        until(lambda: control.status()["gateway"]["pid"] not in {gateway, None}, 60)

        def is_whole() -> bool:
            processes = control.status()["gateway"]["processes"]
            return all(process["phase"] == "ready" for process in processes)

        until(is_whole, 60)
        told = [event.what for event in control.events("largest") if event.kind == "replica"]
    assert any("restarting" in what for what in told)
    with over_http.InferenceServerClient(user.address) as client:
        until(lambda: client.is_model_ready("largest"))
        assert client.infer("largest", http_input(rows(9))).as_numpy("y").item() == 9


# ── the end ───────────────────────────────────────────────────────────────────────────────────


def mapped(pid: int) -> set[str]:
    """Return the names of the shared memory regions that a process uses."""
    maps = [Path(one.path) for one in psutil.Process(pid).memory_maps(grouped=True)]
    return {path.name for path in maps if path.parent == SHARED_MEMORY}


def test_down_leaves_nothing_that_runs(user: User, largest: Path) -> None:
    status = user.run("status", "--json").expect(0).json
    replicas = [item for one in status["services"] for item in one["replicas"]["items"]]
    pids = [one["pid"] for one in replicas]
    stubs = [child.pid for pid in pids for child in psutil.Process(pid).children(recursive=True)]
    regions = {name for pid in pids for name in mapped(pid)}
    assert regions
    control = user.control_pid()
    ended = user.run("down", "--json").expect(0).json["ended"]
    assert {one["id"] for one in ended["replicas"]} == {one["id"] for one in replicas}
    processes = [each["pid"] for each in status["gateway"]["processes"]]
    assert (set(ended["gateway_processes"]), ended["control"]) == (set(processes), control)
    # What has ended is gone once its parent, the keeper or init, has taken note of it.
    gone = (*pids, *stubs, control, *processes)
    until(lambda: not any(psutil.pid_exists(pid) for pid in gone), 5)
    assert user.running() == []
    assert not is_running(user.home)
    assert not any((SHARED_MEMORY / name).exists() for name in regions)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://{user.address}/v2", timeout=5)
    log = (user.home / "logs" / "control.log").read_text()
    assert "Traceback" not in log
    # To look does not bring it back, and what was declared stays on record: a deploy does.
    seen = user.run("status", "--json").expect(0).json
    recorded = {one["service"]: one["replicas"]["items"] for one in seen["services"]}
    assert (seen["gateway"]["ready"], recorded["largest"]) == (False, [])
    assert user.run("history", "largest", "--json").expect(0).json["rollouts"]
    assert not is_running(user.home)
    again = user.deploy(largest, "largest")
    assert again["change"] == "none"
    until(lambda: ready(user, "largest") == 1, 60)
