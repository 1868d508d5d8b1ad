"""The facts of a SavedModel that is not loaded here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Loading
from cloche.errors import ClocheError, UsageError
from cloche.formats import unloaded
from cloche.formats.tensorflow import requirements
from cloche.formats.tensorflow.saved_model import SERVING, Malformed, SavedModel, Signature, read

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot

FRAMEWORK = "tensorflow"
_EXPORT = (
    "Save it with one: model.export(FOLDER) for a model of Keras, else"
    " tf.saved_model.save(module, FOLDER, signatures={'serving_default': module.function}), where"
    " the function has an input_signature."
)


def inspect_folder(snapshot: ModelSnapshot, root: Path, options: ModelOptions) -> ModelFacts:
    """Return the facts of a SavedModel; raises ClocheError as `saved` and `signature`."""
    held = saved(root, snapshot.pinned)
    chosen = signature(held, options, snapshot.pinned)
    needed, findings = requirements.of_saved_model(held.version, options)
    framework = f"tensorflow {held.version}, SavedModel" if held.version else "tensorflow"
    environment = unloaded.Environment(options.python or unloaded.PYTHON, needed, findings)
    loaded = loading(chosen, snapshot.entry)
    return unloaded.facts(snapshot, framework, loaded, environment, inputs=chosen.inputs)


def loading(chosen: Signature, path: str) -> Loading:
    """Return how TensorFlow loads the model in a folder."""
    return Loading(FRAMEWORK, "saved_model", path, {"signature": chosen.name})


def saved(folder: Path, where: str) -> SavedModel:
    """Return what the graph tells; raises ClocheError `inspection.tensorflow.damaged`."""
    try:
        return read(folder / "saved_model.pb")
    except Malformed as problem:
        raise ClocheError(
            "inspection.tensorflow.damaged",
            f"The SavedModel is not whole: {problem} (saved_model.pb).",
            where=where,
            hint="Save or download it again.",
        ) from None


def signature(held: SavedModel, options: ModelOptions, where: str) -> Signature:
    """Return the signature that is served.

    Raises ClocheError `inspection.tensorflow.unsigned` and `.tensor`, UsageError `.signature` where
    there is a choice.
    """
    known = {each.name: each for each in held.signatures}
    if not known:
        raise ClocheError(
            "inspection.tensorflow.unsigned",
            "The SavedModel has no signatures, so nothing tells its inputs.",
            where=where,
            hint=_EXPORT,
        )
    named = options.signature or (SERVING if SERVING in known else None)
    if named is None and len(known) == 1:
        named = next(iter(known))
    several = options.signature is None and len(known) > 1
    if named not in known or several:
        raise _choice(held, options.signature, where)
    chosen = known[named]
    if chosen.unservable is not None:
        raise ClocheError(
            "inspection.tensorflow.tensor",
            f"The signature {chosen.name} cannot be served: {chosen.unservable}.",
            where=where,
            hint="Save it with a signature of dense tensors.",
        )
    return chosen


def _choice(held: SavedModel, asked: str | None, where: str) -> UsageError:
    listed = "; ".join(
        f"{each.name} ({', '.join(spec.name for spec in each.inputs) or 'no inputs'} → "
        f"{', '.join(spec.name for spec in each.outputs)})"
        for each in held.signatures
    )
    names = [each.name for each in held.signatures]
    first = SERVING if SERVING in names else names[0]
    lacks = f"no signature {asked}" if asked else "several signatures"
    return UsageError(
        "inspection.tensorflow.signature",
        f"The SavedModel has {lacks}. It has {listed}.",
        where=where,
        hint=f"Write `signature: {first}` in cloche.yaml for the one to serve.",
    )
