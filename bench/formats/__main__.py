"""`python -m bench.formats`: models as their libraries save them.

Each model is deployed from its file with the versions that saved it, into a new home whose
environment is there. Compared are the library's own prediction in process, MLServer's runtime of
the same format with the settings of its documentation, and embeddings of SentenceTransformer. All
in one run on one machine, round by round.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import stolen
from bench.awake import processors_awake
from bench.formats import contenders
from bench.formats.cases import CASES, Case
from bench.formats.report import document
from bench.processes import end_with_cleaning
from bench.serving import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.serving.load import Endpoint


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.formats", description=__doc__)
    names = [case.name for case in CASES]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME",
                        help=f"models to measure: {', '.join(names)}")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/formats"))
    arguments = parser.parse_args()
    load.require()
    end_with_cleaning()
    cases = [case for case in CASES if case.name in arguments.only]
    with tempfile.TemporaryDirectory(prefix="cloche-bench-") as temporary:
        folder = Path(temporary)
        _prepare(cases, folder)
        with processors_awake() as awake:
            figures = _measure(cases, folder, arguments.rounds, arguments.seconds)
    text = document(figures, awake, arguments.rounds, arguments.seconds)
    print(text)
    arguments.out.with_suffix(".md").write_text(text)
    arguments.out.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")


def _prepare(cases: Sequence[Case], folder: Path) -> None:
    """Save the models, and make all environments: also those that Cloche makes for models."""
    contenders.install(cases)
    contenders.save(sorted({case.environment for case in cases}), folder)
    for case in {(*case.requirements, str(case.spec)): case for case in cases}.values():
        with contenders.cloche(case, folder, _place(folder, case, "first")):
            print("environment of", case.name, flush=True)


def _measure(
    cases: Sequence[Case], folder: Path, rounds: int, seconds: int
) -> dict[str, list[dict[str, Any]]]:
    """Return what each round measured, by the names of cases."""
    figures: dict[str, list[dict[str, Any]]] = {case.name: [] for case in cases}
    for number in range(rounds):
        for case in cases:
            figures[case.name].append(_round(case, folder, number, seconds))
            print(case.name, number, json.dumps(figures[case.name][-1]), flush=True)
    return figures


def _round(case: Case, folder: Path, number: int, seconds: int) -> dict[str, Any]:
    place = _place(folder, case, f"cloche-{number}")
    embeddings = partial(contenders.embeddings, case, folder, place, seconds)
    own: dict[str, Any] = {}
    if case.callers:
        own["in_process"] = contenders.in_process(case, folder, seconds)
    if case.part:
        own[case.part] = contenders.in_process(case, folder, seconds, case.part)
    if case.batches:
        own["in_process"] = embeddings("in_process")
    with contenders.cloche(case, folder, place) as service:
        own |= {"deploy": service.seconds, "ready": service.ready_seconds}
        own["backend"] = service.backend
        if case.batches:
            own["cloche"] = embeddings(service.url)
        if case.connections:
            endpoint = contenders.request(case, folder, service.url)
            own["cloche"] = _loaded(endpoint, case, seconds, place)
    if case.runtime:
        place = _place(folder, case, f"mlserver-{number}")
        with contenders.mlserver(case, folder, place) as endpoint:
            own["mlserver"] = _loaded(endpoint, case, seconds, place)
    return own


def _place(folder: Path, case: Case, name: str) -> Path:
    place = folder / f"{case.name}-{name}"
    place.mkdir()
    return place


def _loaded(endpoint: Endpoint, case: Case, seconds: int, folder: Path) -> dict[str, Any]:
    """Return the figures of a server by its connections."""
    measured = {}
    for connections in case.connections:
        result, share = stolen.least_disturbed(
            partial(endpoint.measure, connections, seconds, folder)
        )
        rate = (result["requests"] - result["failed"]) / result["seconds"]
        measured[str(connections)] = {
            "rate": rate, "p50_ms": result["p50_ms"], "failed": result["failed"], "stolen": share,
        }  # fmt: skip
    return measured


if __name__ == "__main__":
    main()
