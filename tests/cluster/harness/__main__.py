"""`python -m cluster.harness build GROUP…`: behind the targets of the Makefile."""

from __future__ import annotations

import argparse
import sys

from cluster.harness.errors import HarnessError
from cluster.harness.programs import GROUPS, Programs


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m cluster.harness")
    verbs = parser.add_subparsers(dest="verb", required=True)
    build = verbs.add_parser("build", help="build the programs of some groups")
    build.add_argument("groups", nargs="+", choices=GROUPS)
    asked = parser.parse_args()
    try:
        Programs().build(*asked.groups, report=say)
    except HarnessError as error:
        say(f"error: {error}")
        return 1
    return 0


def say(line: str) -> None:
    """Tell of progress; what a command prints for other programs goes to standard output."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
