"""`python -m bench.rollback`: a rollback to a warm revision, on a real cluster of two nodes.

Real Triton behind Envoy Gateway: two revisions of two pods each, of which one has the traffic and
the other is warm. Three clients send one request after the other, over HTTP and gRPC. `cloche
rollback` goes back and forth. Counted is the time from the moment at which a watch of the API
server showed the changed HTTPRoute until the last answer of the revision that was left.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from bench.processes import end_with_cleaning
from bench.rollback.measuring import measure
from bench.rollback.report import document
from cluster.harness import cluster as clusters
from fixtures.cluster_users import a_gateway, push_base, users_of
from fixtures.kubernetes import a_namespace


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.rollback", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/rollback"))
    arguments = parser.parse_args()
    end_with_cleaning()
    with (
        clusters.for_tests(os.environ, _say) as cluster,
        a_gateway(cluster) as entry,
        a_namespace(cluster) as namespace,
        users_of(cluster, namespace, push_base(cluster)) as users,
    ):
        rounds = measure(users(), entry, arguments.rounds)
    arguments.out.with_suffix(".json").write_text(json.dumps(rounds, indent=1) + "\n")
    arguments.out.with_suffix(".md").write_text(document(rounds))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
