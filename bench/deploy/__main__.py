"""`python -m bench.deploy`: from a 100 MB ONNX file to the first verified answer.

Each round takes a file that no cache has seen and compares `cloche deploy` of it (resolve, inspect,
write the repository, start Triton, golden request, route) with the same server started bare on the
same repository, from start to ready. Also measured: the second deploy of the same file, and the
cost of the idle control plane. Servers are installed before the first round, once per machine.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
import psutil
from onnx import numpy_helper

from bench import stolen
from bench.awake import processors_awake
from bench.processes import end_with_cleaning, free_port, running
from bench.serving.models import resnet50
from cloche import composition, pipeline, settings
from cloche.home import HomeLayout
from cloche.progress import SilentProgress
from cloche.servers import ServerAddresses


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.deploy", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/deploy"))
    arguments = parser.parse_args()
    end_with_cleaning()
    with (
        tempfile.TemporaryDirectory(prefix="cloche-bench-") as temporary,
        processors_awake() as awake,
    ):
        figures = _measure(Path(temporary), arguments.rounds)
    text = _document(figures, awake)
    print(text)
    arguments.out.with_suffix(".md").write_text(text)
    arguments.out.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")


def _measure(folder: Path, rounds: int) -> dict[str, Any]:
    home = folder / "home"
    environment = {
        **os.environ, "CLOCHE_HOME": str(home), "CLOCHE_GATEWAY_PORT": str(free_port()),
    }  # fmt: skip
    base = resnet50(folder).path
    figures: dict[str, Any] = {
        "file_bytes": base.stat().st_size, "deploy": [], "bare": [], "again": [],
        "stolen": [],
    }  # fmt: skip
    try:
        first = _cloche(environment, "deploy", str(base), "--name", "first", "--json")[0]
        figures["first_deploy_with_installation"] = first
        unseen = itertools.count()
        for number in range(rounds):
            round_, share = stolen.least_disturbed(
                lambda: _round(environment, home, folder, base, next(unseen))
            )
            for key, value in (round_ | {"stolen": share}).items():
                figures[key].append(value)
            print(f"round {number}:", round_, f"stolen {share:.0%}", flush=True)
        figures["control_plane"] = _idle(home)
    finally:
        subprocess.run(
            [sys.executable, "-m", "cloche", "down"], check=False, env=environment, timeout=120,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
    return figures


def _round(
    environment: dict[str, str], home: Path, folder: Path, base: Path, number: int
) -> dict[str, float]:
    """Deploy an unseen file, deploy it again, and start a bare server on it; all in seconds."""
    path = _unseen(base, folder, number)
    name = f"round-{number}"
    seconds, deployed = _cloche(environment, "deploy", str(path), "--name", name, "--json")
    assert deployed["verification"]["passed"], deployed
    again, second = _cloche(environment, "deploy", str(path), "--name", name, "--json")
    assert second["change"] == "none", second
    _cloche(environment, "delete", name, "--yes", "--json")
    return {"deploy": seconds, "again": again, "bare": _bare(home, name, path, folder)}


def _unseen(base: Path, folder: Path, number: int) -> Path:
    """Write the model with one weight changed, so that its digest is new."""
    model = onnx.load(str(base))
    weight = model.graph.initializer[0]
    values = numpy_helper.to_array(weight) * np.float32(1 + (number + 1) / 1000)
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    path = folder / f"unseen-{number}.onnx"
    onnx.save(model, str(path))
    return path


def _cloche(environment: dict[str, str], *words: str) -> tuple[float, dict[str, Any]]:
    start = time.perf_counter()
    output = subprocess.run(
        [sys.executable, "-m", "cloche", *words], check=True, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=environment, timeout=600,
    ).stdout  # fmt: skip
    return time.perf_counter() - start, json.loads(output or b"{}")


def _bare(home: Path, name: str, path: Path, folder: Path) -> float:
    """Return the seconds from starting a bare server on the same repository until it is ready."""
    from cloche import spec

    machine = settings.Settings(home=home)
    prepared = pipeline.prepare(
        spec.from_reference(str(path), name), directory=folder, settings=machine,
        progress=SilentProgress(),
    )  # fmt: skip
    installed = composition.server().install(HomeLayout(home).servers, SilentProgress())
    serving = folder / f"bare-{name}"
    installed.lay_out(
        serving, composition.store(machine).tree_path(prepared.repository.digest),
        models=prepared.repository.models, environment=None,
    )  # fmt: skip
    addresses = ServerAddresses(*(f"127.0.0.1:{free_port()}" for _ in range(3)))
    command = installed.command(serving, addresses, identity=serving.name)
    start = time.perf_counter()
    with running(
        command.argv, folder / "bare.log", environment=command.env,
        ready=f"http://{addresses.http}/v2/health/ready",
    ):  # fmt: skip
        return time.perf_counter() - start


def _idle(home: Path) -> dict[str, float]:
    """Return the memory and CPU share of the idle control plane."""
    process = psutil.Process(json.loads(HomeLayout(home).control_record.read_text())["pid"])
    time.sleep(5)
    before = process.cpu_times()
    time.sleep(10)
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    memory = process.memory_full_info()
    return {
        "rss_mb": memory.rss / 1e6, "pss_mb": memory.pss / 1e6, "cpu_percent": used / 10 * 100,
    }  # fmt: skip


def _document(figures: dict[str, Any], awake: str) -> str:
    def row(what: str, values: list[float]) -> str:
        return f"| {what} | {median(values):.2f} | {min(values):.2f} to {max(values):.2f} |"

    ratios = [ours / bare for ours, bare in zip(figures["deploy"], figures["bare"], strict=True)]
    control = figures["control_plane"]
    rows = [
        row("`cloche deploy`, start of the command to first verified answer, s", figures["deploy"]),
        row("bare tritonserver, start to ready, s", figures["bare"]),
        row("ratio, round by round (aim ≤ 1.5)", ratios),
        row("second deploy of the same file, s (aim ≤ 1)", figures["again"]),
        row("share of the processors' time that the host took", figures["stolen"]),
    ]
    return (
        "# Deploying\n\n"
        f"`make bench-deploy`: an ONNX file of {figures['file_bytes'] / 1e6:.0f} MB (ResNet-50, "
        f"random weights), {len(ratios)} rounds, each with a file that no cache has seen. "
        f"{awake} A round "
        f"from which the machine's host took more than {stolen.LIMIT:.0%} of the processors' time "
        f"was measured again, up to {stolen.ATTEMPTS} times, and the least disturbed kept.\n\n"
        "| | median | spread |\n|---|---|---|\n" + "\n".join(rows) + "\n\n"
        f"The control plane, idle: {control['rss_mb']:.0f} MB resident ({control['pss_mb']:.0f} MB "
        f"proportional; aim ≤ 120 MB), {control['cpu_percent']:.1f} % of one core.\n"
    )


if __name__ == "__main__":
    main()
