"""ONNX's whole backend suite on real Triton, as a page of the documentation.

`make conformance` runs it; it writes docs/conformance.md.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import onnx_suite
import onnxruntime
import plain
from deployed import VERDICTS, Outcome, Question, ask_all

from cloche.servers.triton import TritonServer
from cloche.store import Store
from fixtures.cache import cache_folder
from fixtures.triton import TritonStarter

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
_STORE = 16 * 2**30
_HEAD = """# ONNX conformance

Written by `make conformance`; not edited by hand. It takes about ten minutes on two cores.

ONNX has a suite of small models for its backends: one per operator and variant, and what exporters
write, each with a request and its right answer. Every case whose inputs and outputs Triton has
types for, and which plain ONNX Runtime answers, goes the whole way here: resolved, inspected,
written as a model repository, loaded by real Triton, asked over HTTP with the suite's own request,
and compared with ONNX Runtime's own answer.
"""


def main() -> int:
    """Run every case, write the page; return 1 if a case was loaded and then answered wrongly."""
    cases = onnx_suite.cases()
    excluded = {case.name: why for case in cases if (why := plain.why_not(case)) is not None}
    questions = [
        Question(case.name, case.model, case.inputs or {})
        for case in cases
        if case.name not in excluded
    ]
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="cloche-conformance-") as name:
        folder = Path(name)
        starter = TritonStarter(TritonServer().install(cache_folder() / "servers"), folder)
        try:
            for outcome in ask_all(questions, folder, Store(folder / "store", _STORE), starter):
                outcomes.append(outcome)
                print(f"\r{len(outcomes)} of {len(questions)}", end="", file=sys.stderr, flush=True)
        finally:
            starter.stop_all()
    print(file=sys.stderr)
    PAGE.write_text(_page(len(cases), excluded.values(), outcomes), encoding="utf-8")
    counts = Counter(outcome.verdict for outcome in outcomes)
    print("\n".join(f"{counts[verdict]:5} {verdict}" for verdict in VERDICTS))
    return 0


def _page(total: int, excluded: Iterable[str], outcomes: list[Outcome]) -> str:
    counts = Counter(outcome.verdict for outcome in outcomes)
    left_out = Counter(why.partition(":")[0].partition(" has no ")[0] for why in excluded)
    lines = [_HEAD, _versions(), "", "| cases | |", "| ---: | --- |", f"| {total} | in the suite |"]
    kinds = {
        "Triton": "with types that Triton or numpy lacks",
        "ONNX Runtime does not load it": "that ONNX Runtime does not load",
        "ONNX Runtime does not answer it": "that ONNX Runtime does not answer",
    }
    lines += [f"| −{left_out[kind]} | {words} |" for kind, words in kinds.items()]
    lines.append(f"| **{len(outcomes)}** | **deployed**, of which |")
    lines += [f"| {counts[verdict]} | {verdict} |" for verdict in VERDICTS if counts[verdict]]
    return "\n".join([*lines, "", *_exceptions(outcomes)]) + "\n"


def _versions() -> str:
    return (
        f"With onnx {onnx.__version__} and ONNX Runtime {onnxruntime.__version__}, on the Triton "
        f"of the wheel ({TritonServer.release})."
    )


def _exceptions(outcomes: list[Outcome]) -> list[str]:
    """Return a section per verdict and reason, with the cases it is about."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for one in outcomes:
        if one.verdict != VERDICTS[0]:
            grouped.setdefault((one.verdict, _reason(one)), []).append(one.name)
    lines = ["## Exceptions", ""] if grouped else []
    for (verdict, reason), names in sorted(grouped.items()):
        lines += [f"**{verdict}**{': ' + reason if reason else ''} ({len(names)})", ""]
        lines += [", ".join(f"`{name}`" for name in names), ""]
    return lines[:-1]


def _reason(outcome: Outcome) -> str:
    """Return the part of the words that several cases share."""
    return outcome.why.partition(": ")[0] if outcome.verdict == VERDICTS[2] else outcome.why


if __name__ == "__main__":
    sys.exit(main())
