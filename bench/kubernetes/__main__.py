"""`python -m bench.kubernetes`: applying and planning many services, beside kubectl.

Against a real API server with etcd, of the tests, and nothing behind it: no pod runs. Each service
is what a deploy makes of a revision: Deployment, two Services, ServiceAccount, NetworkPolicy,
PodDisruptionBudget and the ConfigMap of its golden request. kubectl applies the same objects,
server-side, in a namespace of its own. Both are asked one after the other in each round.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from pathlib import Path
from typing import Any

from bench.kubernetes import measuring
from bench.kubernetes.report import document
from cluster.harness.api_server import ApiServer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.kubernetes", description=__doc__)
    parser.add_argument("--services", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/kubernetes"))
    arguments = parser.parse_args()
    rounds = [
        _in_a_process(count, number)
        for number in range(1, arguments.rounds + 1)
        for count in arguments.services
    ]
    arguments.out.with_suffix(".json").write_text(json.dumps(rounds, indent=1) + "\n")
    arguments.out.with_suffix(".md").write_text(document(rounds))


def _in_a_process(count: int, number: int) -> dict[str, Any]:
    """Measure one round in a process of its own, whose memory is then the round's."""
    with ApiServer() as server, multiprocessing.get_context("spawn").Pool(1) as pool:
        server.kubectl("create", "namespace", "ours")
        server.kubectl("create", "namespace", "kubectls")
        found: dict[str, Any] = pool.apply(measuring.measure, (str(server.kubeconfig), count))
        text = pool.apply(measuring.text, (count, "kubectls"))
        began = time.monotonic()
        server.kubectl("apply", "--server-side", "-f", "-", stdin=text, seconds=1800)
        found |= {"kubectl": time.monotonic() - began, "round": number}
    print(json.dumps(found), flush=True)
    return found


if __name__ == "__main__":
    main()
