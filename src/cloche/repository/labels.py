"""The names of classes, for Triton's classification extension.

An output with `label_filename` can be asked for its best classes by name (the parameter
`classification` of an output; extension_classification.md in Triton's documentation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.errors import UsageError
from cloche.model_config.names import LABELS_FILE
from cloche.units import count_text

if TYPE_CHECKING:
    from cloche.artifacts import ModelFacts, TensorSpec
    from cloche.repository.reasons import Reasons


def fill(config: Any, facts: ModelFacts, reasons: Reasons) -> bytes | None:
    """Name the file of labels at the output of scores, and return its content; None without any.

    Raises UsageError `repository.labels` for labels that fit no output.
    """
    if not facts.labels:
        return None
    scores = [spec for spec in facts.outputs if _is_scores(spec, len(facts.labels))]
    if len(scores) != 1:
        count = len(facts.labels)
        sizes = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in facts.outputs)
        labels, are = count_text(count, "label"), "is" if count == 1 else "are"
        scored = count_text(count, "score")
        which = "no output has" if not scores else "more than one output has"
        raise UsageError(
            "repository.labels",
            f"There {are} {labels}, and {which} {scored} for each item: {sizes}.",
            hint="Give a label for each score of one output, in their order.",
        )
    (found,) = scores
    index = next(i for i, output in enumerate(config.output) if output.name == found.name)
    config.output[index].label_filename = LABELS_FILE
    path = f"output.{found.name}.label_filename"
    reasons.model(path, LABELS_FILE, f"{len(facts.labels)} classes have names")
    return "".join(f"{label}\n" for label in facts.labels).encode()


def _is_scores(spec: TensorSpec, count: int) -> bool:
    return spec.datatype.startswith("FP") and len(spec.shape) == 2 and spec.shape[1] == count
