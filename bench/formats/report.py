"""The page of the formats: tables of medians, with the spread of the rounds."""

from __future__ import annotations

from operator import sub, truediv
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.formats.cases import CASES, Case

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Rounds = Sequence[Mapping[str, Any]]


def document(figures: Mapping[str, Rounds], awake: str, rounds: int, seconds: int) -> str:
    """Return the page in Markdown; `figures` has what each round measured, by names of cases."""
    measured = [case for case in CASES if case.name in figures]
    head = (
        f"# Formats\n\n`make bench-formats`: {rounds} rounds, {seconds} s for each measurement."
        f" {awake} A cell has the median of the rounds and their spread. Requests that failed:"
        f" {_failed(figures)}.\n"
    )
    sections = [
        head,
        _deploys(measured, figures),
        _beside_mlserver([case for case in measured if case.runtime], figures),
    ]
    for case in measured:
        if case.name == "pytorch":
            sections.append(_images(case, figures[case.name]))
        if case.batches:
            sections.append(_sentences(case, figures[case.name]))
    return "\n".join(section for section in sections if section)


def _deploys(cases: Sequence[Case], figures: Mapping[str, Rounds]) -> str:
    rows = [
        f"| {case.name} | {case.what} | {figures[case.name][0]['backend']} |"
        f" {_spread((own['deploy'] for own in figures[case.name]), 1)} |"
        f" {_spread((own['ready'] for own in figures[case.name]), 1)} |"
        for case in cases
    ]
    return _section(
        "From a file to a verified service",
        "Each deploy has a new home, where the environment of the model is there and nothing else:"
        " the control plane and the gateway start, the requirements are locked, and the model is"
        " inspected, converted, compared, served and asked. Aim: 8 s at most for a Python model"
        " without torch (`python`).",
        "| | model | Triton's backend | file to verified, s | of that, server's start to ready |",
        rows,
    )


def _beside_mlserver(cases: Sequence[Case], figures: Mapping[str, Rounds]) -> str:
    rows, notes = [], []
    for case in cases:
        rounds = figures[case.name]
        direct = _of(rounds, "in_process", 1, "p50_ms")
        added = map(sub, _of(rounds, "cloche", 1, "p50_ms"), direct)
        ours, theirs = _of(rounds, "cloche", 16, "rate"), _of(rounds, "mlserver", 16, "rate")
        rows.append(
            f"| {case.name} | {_spread(direct, 2)} | {_spread(added, 2)} |"
            f" {_spread(ours, 0)} | {_spread(theirs, 0)} | {_ratio(ours, theirs)} |"
        )
        if case.part:
            part = _of(rounds, case.part, 1, "p50_ms")
            notes.append(
                f"\n{case.name}: MLServer's request is a text and Cloche's has token ids, so"
                f" MLServer runs the tokenizer as well. In process that takes {_spread(part, 2)}"
                f" ms, {median(map(truediv, part, direct)):.1%} of the network's time."
                " The runtime has `optimum_model`, so both run the network in ONNX Runtime, and"
                " transformers 4.41 with PyTorch 2.7: it does not start with newer ones.\n"
            )
    if not rows:
        return ""
    table = _section(
        "Beside MLServer's runtimes",
        "Each request has one row, or one text, in JSON. MLServer 1.7.1 with its runtime of the"
        " format, no parallel workers. Added is Cloche's latency with one connection less the"
        " library's own prediction in process.",
        "| format | in process, ms | added by Cloche, ms | Cloche, requests/s, 16 connections |"
        " MLServer | ratio |",
        rows,
    )
    return table + "".join(notes)


def _images(case: Case, rounds: Rounds) -> str:
    rows = []
    for count in case.connections:
        direct, ours = (_of(rounds, name, count, "rate") for name in ("in_process", "cloche"))
        rows.append(
            f"| {count} | {_spread(_of(rounds, 'in_process', count, 'p50_ms'), 1)} |"
            f" {_spread(_of(rounds, 'cloche', count, 'p50_ms'), 1)} |"
            f" {_spread(direct, 1)} | {_spread(ours, 1)} | {_ratio(ours, direct)} |"
        )
    return _section(
        "ResNet-50 of torchvision",
        "One image of 224 × 224 as bytes in each request, in process as many threads as there are"
        " connections. MLServer has no runtime for PyTorch.",
        "| connections | PyTorch, ms | Cloche, ms | PyTorch, images/s | Cloche | ratio |",
        rows,
    )


def _sentences(case: Case, rounds: Rounds) -> str:
    rows = []
    for count in case.batches:
        direct, ours = (
            [own[name][str(count)] for own in rounds] for name in ("in_process", "cloche")
        )
        rows.append(
            f"| {count} | {_spread(direct, 1)} | {_spread(ours, 1)} | {_ratio(direct, ours)} |"
        )
    return _section(
        "Embeddings of sentences",
        "A model of all-MiniLM-L6-v2's size, sentences of 20 words, one request at a time, from"
        " text to embeddings: `SentenceTransformer.encode` in process, and Cloche's gateway with"
        " the tokenizer in the client. The embeddings agree within 1e-4. Aim: a ratio of 2.",
        "| sentences at once | in process, ms | Cloche, ms | ratio |",
        rows,
    )


def _failed(figures: Mapping[str, Rounds]) -> int:
    return sum(
        measured["failed"]
        for case in CASES if case.connections
        for own in figures.get(case.name, ())
        for name in ("cloche", "mlserver") if name in own
        for measured in own[name].values()
    )  # fmt: skip


def _of(rounds: Rounds, name: str, count: int, key: str) -> list[float]:
    return [own[name][str(count)][key] for own in rounds]


def _section(title: str, text: str, head: str, rows: Sequence[str]) -> str:
    line = "|---" * (head.count("|") - 1) + "|"
    return "\n".join([f"## {title}\n", f"{text}\n", head, line, *rows, ""])


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    return _spread(map(truediv, ours, theirs), 1)


def _spread(values: Iterable[float], digits: int) -> str:
    every = list(values)
    middle, least, most = (
        f"{each:,.{digits}f}" for each in (median(every), min(every), max(every))
    )
    return f"{middle} ({least} to {most})"
