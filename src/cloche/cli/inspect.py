"""`cloche inspect`: the facts of a model, without running it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloche.cli import options, rendering, session, usage
from cloche.units import size_text

if TYPE_CHECKING:
    from cloche.artifacts import ModelFacts, ModelMetadata, ModelSnapshot


_MOST_METRICS = 5


_AFTER_A_RUN = "known once the model has run: `cloche plan --convert`"


@click.command()
@options.model
@options.file
@click.option("--formats", is_flag=True, help="Show what is served, and how; of no model.")
@options.as_json
def command(*, model: str | None, file: Path | None, formats: bool, as_json: bool) -> None:
    """Show the facts of MODEL (or the model in cloche.yaml) without running it.

    What an earlier run of it told, or a pulled image or cloche.lock knows, is among them.
    """
    from cloche import pipeline
    from cloche.cli import formats_table, specification

    if formats:
        usage.refuse_together(MODEL=model, **{"--file": file, "--formats": formats})
        formats_table.show(as_json=as_json)
        return
    here = session.begin()
    spec, directory = specification.chosen(model, file, None)
    snapshot, facts = pipeline.inspect(
        spec.model,
        options=spec.served().model,
        directory=directory,
        settings=here.settings,
        progress=here.progress,
    )
    run = None
    if facts.loading is not None or facts.convertible is not None:
        run = pipeline.known(
            spec, directory=directory, settings=here.settings, progress=here.progress
        )
    facts = run.main.facts if run is not None else facts
    if as_json:
        rendering.show_json(_report(snapshot, facts))
    else:
        _show(snapshot, facts, ran=run is not None)


def _report(snapshot: ModelSnapshot, facts: ModelFacts) -> dict[str, Any]:
    from cloche.artifacts import model_view, to_builtins

    return {
        "model": {
            **model_view(snapshot),
            "size": snapshot.size,
            "entry": snapshot.entry,
            "metadata": to_builtins(snapshot.metadata),
        },
        "facts": to_builtins(facts),
    }


def _show(snapshot: ModelSnapshot, facts: ModelFacts, *, ran: bool) -> None:
    from cloche.artifacts import to_builtins

    inputs = [rendering.tensor_text(to_builtins(tensor)) for tensor in facts.inputs]
    outputs = [rendering.tensor_text(to_builtins(tensor)) for tensor in facts.outputs]
    size = size_text(facts.size_bytes)
    if facts.memory_bytes:
        size += f", about {size_text(facts.memory_bytes)} in memory"
    format_ = facts.framework
    if not format_.startswith(facts.format):
        format_ = f"{facts.format}, {format_}"
    batch = "yes" if facts.batch.present else "no"
    known = ran or facts.loading is None or facts.loading.declared
    pairs = [
        ("model", snapshot.pinned),
        ("digest", snapshot.digest),
        *_recorded(snapshot.metadata),
        ("format", format_),
        ("size", size),
        ("backend", facts.backend if known else _AFTER_A_RUN),
        *([("batching", f"{batch} ({facts.batch.certainty}): {facts.batch.why}")] if known else []),
        *zip(["inputs", *[""] * len(inputs)], inputs, strict=False),
        *zip(["outputs", *[""] * len(outputs)], outputs, strict=False),
    ]
    if facts.opsets:
        opsets = ", ".join(f"{name or 'ai.onnx'} {number}" for name, number in facts.opsets.items())
        pairs.append(("opsets", opsets))
    if facts.requirements:
        # Without the comments that say which line of conda.yaml a requirement comes from.
        requirements = ", ".join(line.partition("  # ")[0] for line in facts.requirements)
        pairs.append(("python", f"{facts.python}, {requirements}"))
    click.echo(rendering.fields(pairs))
    for finding in facts.findings:
        click.echo(rendering.finding_text(finding))


def _recorded(metadata: ModelMetadata) -> list[tuple[str, str]]:
    """Return what the source says of the model: its choice of files, and the model card."""
    metrics = [f"{name} {value:g}" for name, value in metadata.metrics.items()]
    more = len(metrics) - _MOST_METRICS
    shown = ", ".join(metrics[:_MOST_METRICS]) + (f", and {more} more" if more > 0 else "")
    pairs = [
        ("chosen", metadata.choice),
        ("licence", metadata.tags.get("license")),
        ("task", metadata.tags.get("pipeline_tag")),
        ("metrics", shown),
    ]
    return [(name, value) for name, value in pairs if value]
