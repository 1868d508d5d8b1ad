"""The tables of the serving bench, and its aims compared with the measurements."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from statistics import median
from typing import TYPE_CHECKING

from bench.stolen import LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bench.serving.load import Measurement

Key = tuple[str, str, int]


def tables(measurements: Iterable[Measurement]) -> str:
    """Return Markdown: one table per model, request format and number of connections."""
    cells: dict[Key, dict[str, list[Measurement]]] = {}
    for each in measurements:
        key = (each.model, each.format, each.connections)
        cells.setdefault(key, {}).setdefault(each.contender, []).append(each)
    return "\n".join(
        _table(key, {name: _undisturbed(runs) for name, runs in contenders.items()})
        for key, contenders in cells.items()
    )


def _undisturbed(runs: list[Measurement]) -> list[Measurement]:
    """Return the undisturbed rounds; all rounds if every one was disturbed."""
    return [run for run in runs if run.stolen <= LIMIT] or runs


def _table(key: Key, contenders: Mapping[str, list[Measurement]]) -> str:
    model, form, connections = key
    lines = [
        f"### {model}, {form}, {connections} connection{'s' if connections > 1 else ''}\n",
        (
            "| server | requests/s: median (range) | p50 ms | p99 ms | failed | proxy µs/request "
            "| rounds | stolen |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    ordered = sorted(contenders.items(), key=lambda item: -median(m.rate for m in item[1]))
    for name, runs in ordered:
        rates = [run.rate for run in runs]
        cpu = _proxy_cpu(runs)
        lines.append(
            f"| {name} | {median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) "
            f"| {median(r.p50_ms for r in runs):.2f} | {median(r.p99_ms for r in runs):.2f} "
            f"| {sum(r.failed for r in runs)} | {'' if cpu is None else f'{cpu:.0f}'} "
            f"| {len(runs)} | {median(r.stolen for r in runs):.0%} |"
        )
    return "\n".join(lines) + "\n"


def _proxy_cpu(runs: list[Measurement]) -> float | None:
    """Return the median µs of CPU that the proxy used per request, None without a proxy."""
    used = [r.cpu_seconds["proxy"] / r.requests * 1e6 for r in runs if "proxy" in r.cpu_seconds]
    return median(used) if used else None


@dataclass(frozen=True, slots=True)
class _Aim:
    what: str
    value: float
    bound: float
    at_least: bool

    @property
    def row(self) -> str:
        met = self.value >= self.bound if self.at_least else self.value <= self.bound
        sign = "≥" if self.at_least else "≤"
        verdict = "met" if met else "missed"
        return f"| {self.what} | {self.value:.3g} | {sign} {self.bound:g} | {verdict} |"


def aims(measurements: Iterable[Measurement]) -> str:
    """Return Markdown that compares the aims of the project with this run."""
    runs: dict[tuple[str, str, str, int], list[Measurement]] = {}
    for each in measurements:
        key = (each.contender, each.model, each.format, each.connections)
        runs.setdefault(key, []).append(each)
    runs = {key: _undisturbed(found) for key, found in runs.items()}

    def rate(contender: str, model: str, form: str, *connections: int) -> float:
        cells = [runs.get((contender, model, form, count), []) for count in connections]
        return max((median(m.rate for m in cell) for cell in cells if cell), default=nan)

    def p50(contender: str) -> float:
        cell = runs.get((contender, "mlp", "json", 1))
        return median(m.p50_ms for m in cell) if cell else nan

    def cpu(contender: str) -> float:
        return _proxy_cpu(runs.get((contender, "mlp", "json", 32), [])) or nan

    ours = rate("cloche", "mlp", "json", 32)
    images = rate("cloche", "resnet50", "binary", 1, 32)
    held = [
        _Aim("MLP, JSON, 32 connections: requests/s through the gateway / MLServer",
             ours / rate("mlserver", "mlp", "json", 32), 5, at_least=True),
        _Aim("the same / BentoML",
             ours / rate("bentoml", "mlp", "json", 32), 10, at_least=True),
        _Aim("ResNet-50: images/s through the gateway / raw ONNX Runtime",
             images / rate("onnxruntime", "resnet50", "binary", 1, 32), 0.95, at_least=True),
        _Aim("MLP, JSON, 32 connections: the gateway's CPU per request / nginx's",
             cpu("cloche") / cpu("triton+nginx"), 2.5, at_least=False),
        _Aim("MLP, JSON, 1 connection: ms that the gateway adds to the median of bare Triton",
             p50("cloche") - p50("triton"), 0.4, at_least=False),
    ]  # fmt: skip
    head = "| aim | measured | wanted | |\n|---|---|---|---|\n"
    return head + "\n".join(aim.row for aim in held) + "\n"
