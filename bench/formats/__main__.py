"""`python -m bench.formats`: models as their libraries save them, beside MLServer's runtimes.

Each model is deployed from its file with the versions that saved it, and asked for one row at a
time. Compared are the library's own prediction in process (its median is what a server adds to) and
MLServer's runtime of the same format, with the settings of its documentation. All in one run on one
machine, round by round.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench import stolen
from bench.awake import processors_awake
from bench.environments import cache, environment, home_in
from bench.processes import end_with_cleaning, free_port
from bench.serving import load
from bench.serving.load import Endpoint
from bench.serving.peers import mlserver

_SCRIPTS = Path(__file__).parent / "scripts"
_JSON = {"Content-Type": "application/json"}
_FILES = {"sklearn": "model.joblib", "xgboost": "model.json", "lightgbm": "model.txt"}
_RUNTIMES = {
    "sklearn": "mlserver_sklearn.SKLearnModel",
    "xgboost": "mlserver_xgboost.XGBoostModel",
    "lightgbm": "mlserver_lightgbm.LightGBMModel",
}
_CONNECTIONS = (1, 16)
_SHOWN = ("in_process", "cloche", "mlserver", "deploy")
_NEEDED = ("joblib", "lightgbm", "numpy", "pandas", "scikit-learn", "xgboost")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.formats", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/formats"))
    arguments = parser.parse_args()
    load.require()
    end_with_cleaning()
    with (
        tempfile.TemporaryDirectory(prefix="cloche-bench-") as temporary,
        processors_awake() as awake,
    ):
        figures = _measure(Path(temporary), arguments.rounds, arguments.seconds)
    text = _document(figures, awake, arguments.rounds)
    print(text)
    arguments.out.with_suffix(".md").write_text(text)
    arguments.out.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")


def _measure(folder: Path, rounds: int, seconds: int) -> dict[str, Any]:
    python = environment(_SCRIPTS / "requirements.txt") / "bin" / "python"
    subprocess.run([python, _SCRIPTS / "save.py", folder], check=True, capture_output=True)
    figures: dict[str, Any] = {}
    for form, file in _FILES.items():
        own = figures[form] = {"in_process": [], "cloche": [], "mlserver": []}
        own["deploy"] = []
        first = folder / f"{form}-first"
        first.mkdir()
        with _cloche(folder / file, form, first):
            own["deploy_with_environment"] = _seconds(first)  # made once for all
        for number in range(rounds):
            own["in_process"].append(_in_process(python, folder, form, seconds))
            for name, serving in (("cloche", _cloche), ("mlserver", _mlserver)):
                place = folder / f"{form}-{name}-{number}"
                place.mkdir()
                with serving(folder / file, form, place) as endpoint:
                    own[name].append(_loaded(endpoint, seconds, place))
            own["deploy"].append(_seconds(folder / f"{form}-cloche-{number}"))
            print(form, number, {key: own[key][-1] for key in _SHOWN}, flush=True)
    return figures


def _loaded(endpoint: Endpoint, seconds: int, folder: Path) -> dict[str, Any]:
    measured = {}
    for connections in _CONNECTIONS:
        result, share = stolen.least_disturbed(
            lambda connections=connections: endpoint.measure(connections, seconds, folder)
        )
        rate = (result["requests"] - result["failed"]) / result["seconds"]
        measured[str(connections)] = {
            "rate": rate, "p50_ms": result["p50_ms"], "failed": result["failed"], "stolen": share,
        }  # fmt: skip
    return measured


def _in_process(python: Path, folder: Path, form: str, seconds: int) -> float:
    argv = [python, _SCRIPTS / "in_process.py", form, folder / _FILES[form], folder / "row.npy"]
    output = subprocess.run(
        [*argv, str(seconds)], check=True, capture_output=True, text=True
    ).stdout
    return float(json.loads(output)["p50_ms"])


def _body(name: str, row: np.ndarray[Any, Any]) -> bytes:
    tensor = {"name": name, "datatype": "FP32", "shape": list(row.shape), "data": row[0].tolist()}
    return json.dumps({"inputs": [tensor]}).encode()


# ── the contenders ────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def _cloche(model: Path, form: str, folder: Path) -> Iterator[Endpoint]:
    """Deploy the file; its environment is there already."""
    variables = _variables(folder)
    try:
        began = time.perf_counter()
        deployed = _command(variables, "deploy", "-f", str(_spec(model, form, folder)), "--json")
        (folder / "seconds").write_text(str(time.perf_counter() - began))
        with urllib.request.urlopen(deployed["http"].removesuffix("/infer"), timeout=10) as answer:
            name = json.load(answer)["inputs"][0]["name"]
        yield Endpoint(deployed["http"], _body(name, np.load(model.parent / "row.npy")), _JSON)
    finally:
        subprocess.run(
            [sys.executable, "-m", "cloche", "down"], check=False, env=variables, timeout=120,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


def _seconds(folder: Path) -> float:
    """Return the seconds from a file to its verified service."""
    return float((folder / "seconds").read_text())


def _variables(folder: Path) -> dict[str, str]:
    home = home_in(folder)
    environments = cache() / "environments"
    environments.mkdir(parents=True, exist_ok=True)
    (home / "environments").symlink_to(environments)
    own = {"CLOCHE_HOME": str(home), "CLOCHE_GATEWAY_PORT": str(free_port())}
    return {**os.environ, **own}


def _spec(model: Path, form: str, folder: Path) -> Path:
    lines = (_SCRIPTS / "requirements.txt").read_text().splitlines()
    needed = [line for line in lines if line.partition("==")[0] in _NEEDED]
    path = folder / "cloche.yaml"
    content = {"name": form, "model": str(model), "requirements": needed, "python": "3.11"}
    path.write_text(json.dumps(content))
    return path


def _command(variables: dict[str, str], *words: str) -> dict[str, Any]:
    output = subprocess.run(
        [sys.executable, "-m", "cloche", *words], check=True, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=variables, timeout=900,
    ).stdout  # fmt: skip
    return dict(json.loads(output))


@contextlib.contextmanager
def _mlserver(model: Path, form: str, folder: Path) -> Iterator[Endpoint]:
    python = environment(_SCRIPTS / "requirements.txt") / "bin"
    description = {
        "name": form, "implementation": _RUNTIMES[form], "parameters": {"uri": str(model)},
    }  # fmt: skip
    with mlserver(python, description, folder) as url:
        yield Endpoint(url, _body("input", np.load(model.parent / "row.npy")), _JSON)


# ── the report ────────────────────────────────────────────────────────────────────────────────


def _document(figures: dict[str, Any], awake: str, rounds: int) -> str:
    rows = []
    for form, own in figures.items():

        def of(name: str, connections: int, key: str, own: Any = own) -> list[float]:
            return [measured[str(connections)][key] for measured in own[name]]

        rates = list(zip(of("cloche", 16, "rate"), of("mlserver", 16, "rate"), strict=True))
        ratios = [ours / theirs for ours, theirs in rates]
        added = median(of("cloche", 1, "p50_ms")) - median(own["in_process"])
        rows.append(
            f"| {form} | {median(own['deploy']):.1f} | {median(own['in_process']):.2f} |"
            f" {added:+.2f} | {median(r[0] for r in rates):,.0f} |"
            f" {median(r[1] for r in rates):,.0f} |"
            f" {median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}) |"
        )
    return (
        "# Formats\n\n"
        f"`make bench-formats`: {rounds} rounds. {awake} Each model answers one row of 30 numbers"
        " in JSON. MLServer 1.7.1 with its runtime of the format, no parallel workers.\n\n"
        "| format | file to verified, s | in process, ms | added by Cloche, ms, 1 connection |"
        " Cloche, requests/s, 16 connections | MLServer | ratio (spread) |\n"
        "|---|---|---|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


if __name__ == "__main__":
    main()
