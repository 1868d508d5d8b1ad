"""A service follows its load: real KEDA and prometheus-adapter, Prometheus and Triton."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fixtures.cluster_users import ClusterUser, Entry
from fixtures.command_line import scaled_maximum
from fixtures.local import until

NAME = "surging"
ROWS = 13_000_000
"""Rows of a table of two floats: 104 MB."""
PER_REPLICA = 5
LEAST, MOST = 1, 10


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of more than 100 MB: it answers with the row of a table."""
    table = np.arange(2 * ROWS, dtype="f4").reshape(ROWS, 2)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "row"], ["y"], axis=0)],
        "rows",
        [helper.make_tensor_value_info("row", TensorProto.INT64, ["batch"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(table, "table")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    onnx.save(made, path)
    assert path.stat().st_size > 100e6
    return path


class Steady:
    """Clients that send so many requests a second, however long the answers take."""

    def __init__(self, entry: Entry, host: str) -> None:
        self._url = f"http://{entry.address}/v2/models/{NAME}/infer"
        self._host = host
        self.rate = 0.0
        self.sent = 0
        self.failures: list[str] = []

    @contextmanager
    def running(self) -> Iterator[Steady]:
        over = threading.Event()
        with ThreadPoolExecutor(64) as pool:
            sender = threading.Thread(target=self._send, args=(pool, over))
            sender.start()
            try:
                yield self
            finally:
                over.set()
                sender.join()

    def _send(self, pool: ThreadPoolExecutor, over: threading.Event) -> None:
        due = time.monotonic()
        while not over.wait(max(0.0, due - time.monotonic())):
            if not self.rate:
                due = time.monotonic() + 0.1
                continue
            due += 1 / self.rate  # whatever sending takes: a rate is what is measured
            self.sent += 1
            pool.submit(self._ask, self.sent % ROWS)

    def _ask(self, row: int) -> None:
        given = {"name": "row", "datatype": "INT64", "shape": [1, 1], "data": [row]}
        body = json.dumps({"inputs": [given]}).encode()
        asked = urllib.request.Request(self._url, body, {"Host": self._host})
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                data = json.loads(answer.read())["outputs"][0]["data"]
            if data != [2 * row, 2 * row + 1]:
                self.failures.append(f"row {row}: {data}")
        except Exception as error:  # noqa: BLE001 - whatever a client can meet is a failure
            self.failures.append(repr(error))


def scaling(user: ClusterUser) -> dict[str, Any]:
    status = user.run("status", NAME, "--json").expect(0).json
    found: dict[str, Any] = status["services"][0]["replicas"]["scaling"]
    return found


def wanted(user: ClusterUser) -> int:
    text = user.kubectl("get", "deployment", f"{NAME}-r1", "-o", "jsonpath={.spec.replicas}")
    return int(text)


def test_a_prometheus_that_does_not_know_the_service(
    cluster_user: ClusterUser, autoscaling: str, tmp_path: Path
) -> None:
    at = {"prometheus_url": autoscaling.replace("prometheus.", "nobody."), "scrape_interval": "5s"}
    cluster_user.declare(
        NAME, scaled_maximum(tmp_path / "model.onnx", 2), target=at, replicas="1..2",
        autoscale={"requests_per_second": 5},
    )  # fmt: skip
    told = cluster_user.run("deploy", "--json").expect(0)
    assert told.json["phase"] == "live"
    assert "warning[deploy.autoscaler]" in told.err


@pytest.fixture(params=["keda", "prometheus-adapter"])
def measured(request: pytest.FixtureRequest) -> dict[str, str]:
    """What a target says of what measures, which runs in the cluster."""
    if request.param == "keda":
        return {"prometheus_url": request.getfixturevalue("autoscaling")}
    request.getfixturevalue("prometheus_adapter")
    return {"autoscaler": request.param}


def test_a_surge_is_met_and_a_lost_metric_changes_nothing(
    cluster_user: ClusterUser,
    gateway_entry: Entry,
    measured: dict[str, str],
    model: Path,
) -> None:
    ann = cluster_user
    at = {
        **ann.through(gateway_entry, NAME), "prometheus": "monitoring",
        "scrape_interval": "5s", **measured,
    }  # fmt: skip
    ann.declare(
        NAME, model, target=at, replicas=f"{LEAST}..{MOST}",
        autoscale={"requests_per_second": PER_REPLICA},
    )  # fmt: skip
    ann.deploy()
    refused = ann.run("scale", NAME, "3", "--json").expect(1).json["error"]
    assert refused["code"] == "service.autoscaled"
    with Steady(gateway_entry, ann.host(NAME)).running() as load:
        load.rate = 0.8 * PER_REPLICA
        until(lambda: scaling(ann)["trouble"] is None and scaling(ann)["measured"], 90, every=2)
        assert wanted(ann) == LEAST

        load.rate *= 10
        began = time.monotonic()
        until(lambda: len(ann.ready_pods(NAME, 1)) >= 8, 300, every=0.5)
        print(f"\n10 times the load: {len(ann.ready_pods(NAME, 1))} replicas ready after"
              f" {time.monotonic() - began:.1f} s")  # fmt: skip

        load.rate /= 10
        before = wanted(ann)
        ann.cluster.kubectl("-n", "monitoring", "scale", "deployment/prometheus", "--replicas=0")
        try:
            until(lambda: scaling(ann)["trouble"] is not None, 120, every=2)
            assert wanted(ann) == before
        finally:
            ann.cluster.kubectl(
                "-n", "monitoring", "scale", "deployment/prometheus", "--replicas=1"
            )
    assert load.failures == []
    assert load.sent > 200
