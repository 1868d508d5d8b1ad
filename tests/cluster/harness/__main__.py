"""`python -m cluster.harness build GROUP… | up | down`: behind the targets of the Makefile."""

from __future__ import annotations

import argparse
import sys

from cluster.harness import registry
from cluster.harness.errors import HarnessError
from cluster.harness.programs import CLUSTER, GROUPS, Programs
from cluster.harness.real_cluster import RealCluster, in_use, out_of_use


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m cluster.harness")
    verbs = parser.add_subparsers(dest="verb", required=True)
    build = verbs.add_parser("build", help="build the programs of some groups")
    build.add_argument("groups", nargs="+", choices=GROUPS)
    verbs.add_parser("up", help="build and start the cluster of this machine; it stays")
    verbs.add_parser("down", help="end it")
    asked = parser.parse_args()
    try:
        match asked.verb:
            case "build":
                Programs().build(*asked.groups, report=say)
            case "up":
                _up()
            case "down":
                with out_of_use():
                    RealCluster().down(say)
    except HarnessError as error:
        say(f"error: {error}")
        return 1
    return 0


def _up() -> None:
    """Print what a shell needs to use the cluster."""
    Programs().build(*CLUSTER, report=say)
    cluster = RealCluster()
    with in_use():
        cluster.up(say, keep=True)
    print(f"export KUBECONFIG={cluster.kubeconfig}")
    print(f"export CLOCHE_TEST_REGISTRY={registry.HOST}")


def say(line: str) -> None:
    """Tell of progress; what a command prints for other programs goes to standard output."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
