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
from deployed import REFUSED, VERDICTS, Outcome, Question, ask_all
from made_requests import NEVER, NOT_ACCEPTED, RIGHT, trouble

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
_LIMITS = {
    "inspection.onnx.empty_axis": "all there is to answer has an axis of constant size 0, which no "
    "configuration of Triton can hold (the native backend has the same limit)",
}
"""What Cloche refuses for a reason that no version of it can mend, by code."""
_MADE = (
    "For a model without an example Cloche makes requests from what its graph does with each "
    "input. One is right if ONNX Runtime answers it in the declared shapes, with elements, all "
    "finite. The same models as above, in process:"
)


def main() -> int:
    """Run every case and write the page; return 1 if one was answered otherwise."""
    cases = onnx_suite.cases()
    excluded = {case.name: why for case in cases if (why := plain.why_not(case)) is not None}
    answered = [case for case in cases if case.name not in excluded]
    questions = [Question(case.name, case.model, case.inputs or {}) for case in answered]
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="cloche-conformance-") as name:
        folder = Path(name)
        made = [trouble(case, folder / "model.onnx") for case in answered]
        starter = TritonStarter(TritonServer().install(cache_folder() / "servers"), folder)
        try:
            for outcome in ask_all(questions, folder, Store(folder / "store", _STORE), starter):
                outcomes.append(outcome)
                _show(len(outcomes), len(questions))
        finally:
            starter.stop_all()
    page = _page(len(cases), excluded.values(), outcomes)
    PAGE.write_text("\n".join([page, *_made(made)]) + "\n", encoding="utf-8")
    counts = Counter(outcome.verdict for outcome in outcomes)
    print("\n".join(f"{counts[verdict]:5} {verdict}" for verdict in VERDICTS))
    return int(any(counts[verdict] for verdict in VERDICTS[3:]))


def _show(done: int, total: int) -> None:
    """Show how far it is: on a terminal in one line, else a line now and then."""
    ends = "\n" if done == total else "\r"
    if sys.stderr.isatty():
        print(f"{done} of {total}", end=ends, file=sys.stderr, flush=True)
    elif done % 100 == 0 or done == total:
        print(f"{done} of {total}", file=sys.stderr, flush=True)


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
    return "\n".join([*lines, "", *_exceptions(outcomes)])


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
    return lines


def _made(troubles: list[str]) -> list[str]:
    """Return the section on requests that Cloche makes for a model without an example."""
    right, never = troubles.count(RIGHT), troubles.count(NEVER)
    left = len(troubles) - right - never
    grouped: dict[str, list[str]] = {}
    for name, why in NOT_ACCEPTED.items():
        grouped.setdefault(why, []).append(name)
    lines = ["## Made requests", "", _MADE, "", "| models | |", "| ---: | --- |"]
    lines += [f"| {right} | answer a made request rightly |", f"| {never} | cannot: {NEVER} |"]
    lines += [f"| {left} | do not, for these reasons |", ""]
    for why, names in grouped.items():
        lines += [f"**{why}** ({len(names)})", "", ", ".join(f"`{n}`" for n in names), ""]
    return lines[:-1]


def _reason(outcome: Outcome) -> str:
    """Return the part of the words that several cases share."""
    if outcome.verdict != REFUSED:
        return outcome.why
    code = outcome.why.partition(": ")[0]
    return f"`{code}`, {_LIMITS[code]}" if code in _LIMITS else outcome.why


if __name__ == "__main__":
    sys.exit(main())
