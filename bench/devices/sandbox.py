"""Whether a program in the sandbox of a replica reaches the GPU, and nothing of the user.

Run on a machine with a GPU and PyTorch: `PYTHONPATH=src python bench/devices/sandbox.py`. Prints
what was reached without and with the sandbox, with the network and without, and the time that a
product of matrices takes in both.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from cloche.sandbox import surroundings, trial

_CODE = """
import json, sys, time
import torch
secret = sys.argv[1]
found = {"gpu": torch.cuda.is_available()}
if found["gpu"]:
    found["name"] = torch.cuda.get_device_name(0)
    found["capability"] = list(torch.cuda.get_device_capability(0))
    a = torch.rand(4096, 4096, device="cuda")
    times = []
    for _ in range(20):
        torch.cuda.synchronize(); began = time.perf_counter()
        b = a @ a
        torch.cuda.synchronize(); times.append(time.perf_counter() - began)
    found["median_ms"] = sorted(times)[10] * 1e3
    found["sum"] = float((a @ torch.ones(4096, 1, device="cuda")).sum() / a.sum())
try:
    open(secret).close()
    found["secret"] = True
except OSError:
    found["secret"] = False
print(json.dumps(found))
"""


def _ask(command: tuple[str, ...]) -> object:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        return {"status": done.returncode, "said": done.stderr[-1500:]}


def main() -> None:
    """Print what is reached, as JSON."""
    with tempfile.TemporaryDirectory() as outside, tempfile.TemporaryDirectory() as inside:
        secret = Path(outside, "secret")
        secret.touch()
        program = (sys.executable, "-c", _CODE, str(secret))
        walls = surroundings.walls(
            os.environ,
            Path(inside),
            read=[*surroundings.python(Path(sys.executable)), *map(Path, filter(None, sys.path))],
            network=True,
            temporary=Path(inside),
        )
        walls = replace(walls, start=inside)
        closed = replace(walls, network=False)
        found = {
            "closed_here": repr(trial.held()),
            "without": _ask(program),
            "in_sandbox": _ask(walls.around(*program)),
            "without_network": _ask(closed.around(*program)),
            "landlock_alone": _ask(replace(walls, hide={}).around(*program)),
        }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
