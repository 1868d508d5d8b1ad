"""What is asked of real pods: the golden request before they get others, and life after that."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from fixtures.asking import Answer, Load
from fixtures.cluster_users import ClusterUser, Entry
from fixtures.command_line import finished, scaled_maximum
from fixtures.local import until
from fixtures.streams import COUNTDOWN, COUNTER, SEQUENCE, STREAM, repository

NAME = "asked"
KILL_MODEL = """
for process in /proc/[0-9]*; do
  read -r name <"$process/comm"
  if [ "$name" = triton_python_b ]; then kill -9 "${process#/proc/}"; fi
done
"""


def image_of(user: ClusterUser, revision: int) -> str:
    (workload,) = (
        each
        for each in user.objects("deployments", NAME)
        if each["metadata"]["name"] == f"{NAME}-r{revision}"
    )
    return str(workload["spec"]["template"]["spec"]["containers"][0]["image"])


def restarts(user: ClusterUser) -> list[int]:
    return [
        status["restartCount"]
        for pod in user.objects("pods", NAME)
        for status in pod["status"]["containerStatuses"]
    ]


def test_a_pod_that_answers_wrongly_gets_no_request(
    cluster_user: ClusterUser, tmp_path: Path
) -> None:
    """The image of another model stands for a server that computes wrongly on its node."""
    cluster_user.declare(NAME, scaled_maximum(tmp_path / "model.onnx", 2))
    cluster_user.deploy()
    wrong = {"containers": [{"name": "server", "image": image_of(cluster_user, 1)}]}
    patches = {"Deployment": {"spec": {"template": {"spec": wrong}}}}
    model = scaled_maximum(tmp_path / "model.onnx", 3)
    cluster_user.declare(NAME, model, target={"patches": patches})
    failed = cluster_user.deploy(code=1)
    assert "The values of the output y are not the expected ones." in failed["error"]["what"]
    assert "Revision 1 is still live" in failed["error"]["hint"]
    assert cluster_user.ready_pods(NAME, 2) == []


def test_a_stream_that_ends_wrongly_gets_no_request(cluster_user: ClusterUser) -> None:
    """As above, for a model that answers with streams: its pods are asked over gRPC."""
    folder = cluster_user.user.folder
    down = repository(folder / "down", NAME, STREAM, COUNTDOWN)
    up = repository(folder / "up", NAME, STREAM, COUNTDOWN.replace("reversed(", "iter("))
    cluster_user.declare(NAME, down, example=example(folder / "down.json", 0))
    first = cluster_user.deploy()
    assert (first["phase"], first["verification"]["judge"]) == ("live", "expected")
    wrong = {"containers": [{"name": "server", "image": image_of(cluster_user, 1)}]}
    patches = {"Deployment": {"spec": {"template": {"spec": wrong}}}}
    right = example(folder / "up.json", 2)
    cluster_user.declare(NAME, up, example=right, target={"patches": patches})
    failed = cluster_user.deploy(code=1)
    assert "The values of the output left are not the expected ones." in failed["error"]["what"]
    assert cluster_user.ready_pods(NAME, 2) == []
    cluster_user.declare(NAME, up, example=right)
    assert cluster_user.deploy()["phase"] == "live"


def example(path: Path, last: int) -> str:
    """Write a request for three answers, of which the last is known."""
    path.write_text(json.dumps({"inputs": {"n": [3]}, "outputs": {"left": [last]}}))
    return str(path)


def test_pods_of_a_stateful_model_are_asked(cluster_user: ClusterUser) -> None:
    made = repository(cluster_user.user.folder / "counter", NAME, SEQUENCE, COUNTER)
    cluster_user.declare(NAME, made)
    assert cluster_user.deploy()["phase"] == "live"
    (pod,) = cluster_user.ready_pods(NAME, 1)
    probe = pod["spec"]["containers"][0]["startupProbe"]
    assert probe["exec"]["command"][-1].endswith("ask.py")
    cluster_user.run("verify", NAME).expect(0)


def test_a_model_whose_process_was_killed_is_started_again(
    cluster_user: ClusterUser, tmp_path: Path
) -> None:
    cluster_user.declare(NAME, scaled_maximum(tmp_path / "model.onnx", 2))
    cluster_user.deploy()
    (pod,) = cluster_user.ready_pods(NAME, 1)
    name = pod["metadata"]["name"]
    cluster_user.kubectl("exec", name, "--", "/bin/sh", "-c", KILL_MODEL)
    until(lambda: restarts(cluster_user) == [1], 60, every=0.5)
    until(lambda: cluster_user.ready_pods(NAME, 1), 60, every=0.5)
    cluster_user.run("verify", NAME).expect(0)


def test_a_full_queue_restarts_nothing(
    cluster_user: ClusterUser, gateway_entry: Entry, tmp_path: Path
) -> None:
    """Thirty clients of a model that answers two requests a second, for longer than probes wait."""
    slow = finished(tmp_path / "repository", NAME, "(time.sleep(0.5), x)[1]")
    at = cluster_user.through(gateway_entry, NAME)
    cluster_user.declare(NAME, slow, target=at)
    cluster_user.deploy()
    until(lambda: cluster_user.reached(gateway_entry, NAME), 60)
    given = {"name": "x", "datatype": "FP32", "shape": [4], "data": [1, 2, 3, 4]}

    def send() -> Answer:
        answer = httpx.post(
            f"http://{gateway_entry.address}/v2/models/{NAME}/infer", json={"inputs": [given]},
            headers={"Host": cluster_user.host(NAME)}, timeout=60,
        )  # fmt: skip
        return Answer(answer.status_code, said=answer.text)

    with Load(send, 30) as load:
        for _ in range(16):
            load.more(10)
    assert load.lost == []
    assert restarts(cluster_user) == [0]
    assert len(cluster_user.ready_pods(NAME, 1)) == 1
