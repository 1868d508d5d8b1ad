"""`python -m bench.faults`: what a fault costs the clients of a service, on real processes.

Two replicas of a small model answer four clients, each of which sends its next request after the
last answer. In the midst of it something is killed, stopped, made to hang or to answer wrongly. A
row says what was lost and what was wrong, how long no client got an answer, and how long it took
until everything that was wanted ran again. No command is typed meanwhile.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from bench.faults import matrix
from bench.faults.measuring import Scene
from bench.faults.report import document
from bench.processes import end_with_cleaning
from fixtures.command_line import a_user

if TYPE_CHECKING:
    from bench.faults.measuring import Measured


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of faults; the report stays as it is")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/faults"))
    arguments = parser.parse_args()
    end_with_cleaning()
    measured: list[Measured] = []
    with a_user(cleans=True) as user:
        scene = Scene(user)
        for _ in range(arguments.rounds):
            for fault in matrix.FAULTS:
                if arguments.only and fault.name not in arguments.only:
                    continue
                row = scene.measure(fault)
                measured.append(row)
                print(json.dumps(row), flush=True)
    if arguments.only:
        return
    arguments.out.with_suffix(".json").write_text(json.dumps(measured, indent=1) + "\n")
    arguments.out.with_suffix(".md").write_text(document(measured))


if __name__ == "__main__":
    main()
