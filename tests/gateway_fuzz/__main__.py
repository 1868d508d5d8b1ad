"""`make fuzz`: mutated requests to the gateway with real Triton behind it, and a report.

    make fuzz ARGS="--requests 100000 --seed 7 --seconds 1800"

Of the calls over gRPC a third is given up while they are answered, by the client or its deadline.

It fails if the replica or the gateway ends, grows beyond a bound or keeps files open, or if a good
request is answered wrongly. The same seed sends the same requests.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from cloche.servers.triton import TritonServer
from fixtures.cache import cache_folder
from fixtures.triton import TritonStarter
from gateway_fuzz.running import Plan, run
from gateway_fuzz.serving import serving


def main() -> None:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--out", type=Path, help="a file for the report as JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cloche-fuzz-") as folder:
        starter = TritonStarter(TritonServer().install(cache_folder() / "servers"), Path(folder))
        try:
            with serving(starter, Path(folder)) as (address, watched):
                plan = Plan(given.requests, given.seed, seconds=given.seconds)
                report = run(plan, address, "double", watched)
        finally:
            starter.stop_all()
    text = json.dumps(report, indent=1)
    print(text)
    if given.out is not None:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
