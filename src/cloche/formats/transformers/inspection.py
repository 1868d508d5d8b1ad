"""The facts of a folder of transformers or sentence-transformers that is not loaded here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Finding, Loading, Severity
from cloche.formats import unloaded
from cloche.formats.transformers import code, releases, weights
from cloche.formats.transformers.folder import understand

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot
    from cloche.formats.transformers.folder import Folder, Identity

FRAMEWORK = "transformers"
_CLASSIFYING = (
    "ForSequenceClassification", "ForImageClassification", "ForAudioClassification",
    "ForVideoClassification",
)  # fmt: skip
"""How architectures end that give one score for each class of a whole item."""
_BYTES = 4
"""Bytes of a weight where it is served: FP32."""


def inspect_folder(
    snapshot: ModelSnapshot, files: Mapping[str, Path], path: str, options: ModelOptions
) -> ModelFacts:
    """Return the facts of a folder whose files are given by their path in it.

    `path` is the folder in the snapshot (`""` for all of it). Raises ClocheError as `understand`.
    """
    where = f"{snapshot.pinned}/{path}" if path else snapshot.pinned
    folder = understand(files, where)
    known = folder.identity
    counted = weights.elements({name: files[name] for name in folder.weights}, where)
    requirements, said = _requirements(known, options)
    findings = (*_findings(folder, counted), *said)
    return unloaded.facts(
        snapshot,
        _framework(known),
        loading(known, path),
        unloaded.Environment(options.python or unloaded.PYTHON, requirements, findings),
        memory_bytes=counted.total() * _BYTES or None,
        labels=_labels(known),
    )


def loading(known: Identity, path: str) -> Loading:
    """Return how the libraries load a folder."""
    kind = "model" if known.sentences is None else "sentence"
    kind = "cross" if known.scores_pairs else kind
    options: dict[str, object] = {}
    if kind == "model":
        options["class"] = code.made_by(known.architecture, known.config, known.code)
    if known.code:
        options["own_code"] = list(known.code)
    return Loading(FRAMEWORK, kind, path or ".", options)


def _framework(known: Identity) -> str:
    if known.scores_pairs:
        return f"sentence-transformers, CrossEncoder, {known.architecture}"
    if known.sentences is not None:
        return f"sentence-transformers, {known.config.get('model_type', known.architecture)}"
    return f"{FRAMEWORK}, {known.architecture}"


def _requirements(
    known: Identity, options: ModelOptions
) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    if options.requirements:
        return options.requirements, ()
    written = known.config.get("transformers_version")
    recorded = {"transformers": str(written) if written else None}
    if known.sentences is not None or known.scores_pairs:
        saved = known.sentences.releases if known.sentences is not None else {}
        own = known.config.get("sentence_transformers")
        version = own.get("version") if isinstance(own, dict) else None
        recorded = {
            "transformers": saved.get("transformers") or recorded["transformers"],
            "sentence-transformers": saved.get("sentence_transformers") or version,
        }
    lines, said = releases.requirements(recorded, releases.beside(known.config))
    return lines, (said,)


def _labels(known: Identity) -> tuple[str, ...]:
    """Return the names of the classes of one output of scores; `LABEL_0` names nothing."""
    named = known.config.get("id2label")
    if not known.architecture.endswith(_CLASSIFYING) or not isinstance(named, dict):
        return ()
    try:
        by_index = {int(index): " ".join(str(name).split()) for index, name in named.items()}
    except ValueError:
        return ()
    names = tuple(by_index.get(index, "") for index in range(len(by_index)))
    made = all(name == f"LABEL_{index}" for index, name in enumerate(names))
    return () if made or not all(names) else names


def _findings(folder: Folder, counted: Counter[str]) -> list[Finding]:
    findings = []
    if counted:
        what = f"It has {counted.total():,} weights ({', '.join(sorted(counted))})."
        findings.append(Finding(Severity.NOTE, "inspection.transformers.weights", what))
    if folder.identity.scores_pairs:
        what = "It is a CrossEncoder: two texts in a request have one score, as from `predict`."
        findings.append(Finding(Severity.NOTE, "inspection.transformers.pairs", what))
    elif folder.identity.sentences is not None:
        what = f"Its modules are served as one: {folder.identity.sentences.words}."
        findings.append(Finding(Severity.NOTE, "inspection.transformers.sentences", what))
    if any(name.startswith("tokenizer") for name in folder.files):
        what = "A request has token ids: text is split by its tokenizer before."
        hint = "The tokenizer as a part of the service comes in a later version."
        findings.append(Finding(Severity.NOTE, "inspection.transformers.tokens", what, hint=hint))
    return findings
