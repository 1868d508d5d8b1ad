"""`python -m bench.serving`: every server with the same models and load, in turn, in one run.

One server is up at a time, since some poll while idle; each round goes through all of them, so that
a slow moment of the machine affects each alike. Prints the tables and writes the raw numbers.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import platform
import tempfile
from functools import partial
from pathlib import Path

import psutil

from bench import stolen
from bench.awake import processors_awake
from bench.processes import end_with_cleaning
from bench.serving import load, report
from bench.serving.models import BenchModel, resnet50, small_mlp
from bench.serving.ours import BareTriton, Cloche, RawOnnxRuntime, TritonBehindNginx
from bench.serving.peers import BentoML, Contender, LitServe, MLServer

_CONTENDERS: tuple[Contender, ...] = (
    Cloche(),
    BareTriton(),
    TritonBehindNginx(),
    RawOnnxRuntime(),
    MLServer(),
    BentoML(),
    LitServe(),
)


_WARM_UP = 2
"""Seconds of load before a cell is measured."""


def main() -> None:
    arguments = _arguments()
    load.require()
    end_with_cleaning()
    chosen = [c for c in _CONTENDERS if c.name in arguments.contenders]
    measurements: list[load.Measurement] = []
    with (
        tempfile.TemporaryDirectory(prefix="cloche-bench-") as temporary,
        processors_awake() as awake,
    ):
        folder = Path(temporary)
        for make in (small_mlp, resnet50):
            model = make(folder)
            if model.name not in arguments.models:
                continue
            for number in range(1, arguments.rounds + 1):
                measurements += _round(number, model, chosen, arguments, folder)
                _write(measurements, chosen, arguments, awake)
    print(arguments.out.with_suffix(".md").read_text())


def _write(
    measurements: list[load.Measurement],
    chosen: list[Contender],
    arguments: argparse.Namespace,
    awake: str,
) -> None:
    """Write the results so far, so that an interrupted run keeps them."""
    arguments.out.with_suffix(".md").write_text(_document(measurements, chosen, arguments, awake))
    raw = {"machine": _machine(), "measurements": [dataclasses.asdict(m) for m in measurements]}
    arguments.out.with_suffix(".json").write_text(json.dumps(raw, indent=1) + "\n")


def _round(
    number: int,
    model: BenchModel,
    chosen: list[Contender],
    arguments: argparse.Namespace,
    folder: Path,
) -> list[load.Measurement]:
    measurements = []
    for contender in chosen:
        own = folder / f"{model.name}-{contender.name}-{number}"
        own.mkdir()
        with contender.serving(model, own) as endpoints:
            for connections, (form, target) in itertools.product((1, 32), endpoints.items()):
                seconds = arguments.seconds * model.longer[connections]
                target.measure(connections, _WARM_UP, own)
                result, share = stolen.least_disturbed(
                    partial(target.measure, connections, seconds, own)
                )
                one = load.Measurement(
                    contender.name, model.name, form, connections, stolen=share, **result
                )
                print(f"round {number}", one.summary, flush=True)
                measurements.append(one)
    return measurements


def _document(
    measurements: list[load.Measurement],
    chosen: list[Contender],
    arguments: argparse.Namespace,
    awake: str,
) -> str:
    machine = ", ".join(f"{key} {value}" for key, value in _machine().items())
    settings = "\n".join(f"- {contender.name}: {contender.settings}" for contender in chosen)
    return (
        "# Serving\n\n"
        f"`make bench-serving`: {arguments.rounds} rounds of {arguments.seconds} s for each cell "
        "(for ResNet-50 twice as long with one connection and eight times with 32), the servers in "
        "turn within a round; wrk with one thread on the same machine. Models have random weights. "
        f"{awake} "
        f"A cell from which the machine's host took more than {stolen.LIMIT:.0%} of the "
        f"processors' time was measured again, up to {stolen.ATTEMPTS} times. A row is made "
        "of the rounds that were not disturbed, where there is one; the last columns say how many "
        "it is made of and what was taken from them.\n\n"
        f"Machine: {machine}\n\nSettings:\n{settings}\n\n"
        f"## Aims\n\n{report.aims(measurements)}\n## Figures\n\n{report.tables(measurements)}"
    )


def _machine() -> dict[str, object]:
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cores": psutil.cpu_count(),
        "processor": names[0] if names else platform.machine(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "kernel": platform.release().split("-")[0],
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.serving", description=__doc__)
    names = [contender.name for contender in _CONTENDERS]
    parser.add_argument("--contenders", nargs="+", choices=names, default=names)
    parser.add_argument("--models", nargs="+", default=["mlp", "resnet50"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/serving"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
