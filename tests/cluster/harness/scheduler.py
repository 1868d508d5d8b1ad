"""A second scheduler of the cluster, with a configuration of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.harness.daemon import Daemon
from cluster.harness.programs import Programs


@contextmanager
def packing(
    folder: Path, kubeconfig: Path, name: str, resources: Mapping[str, int]
) -> Iterator[Daemon]:
    """Run a scheduler that fills one node before the next, by the weights of resources."""
    weights = [{"name": each, "weight": weight} for each, weight in resources.items()]
    scoring = {"type": "MostAllocated", "resources": weights}
    fit = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "NodeResourcesFitArgs"}
    configuration: dict[str, Any] = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "profiles": [
            {
                "schedulerName": name,
                "pluginConfig": [
                    {"name": "NodeResourcesFit", "args": {**fit, "scoringStrategy": scoring}}
                ],
            }
        ],
    }
    file = folder / f"{name}.json"
    file.write_text(json.dumps(configuration))
    daemon = Daemon(folder, name)
    program = Programs().path("kube-scheduler")
    daemon.start([program, f"--config={file}", "--secure-port=0"], {})
    try:
        yield daemon
    finally:
        daemon.stop()
