"""Runs a model in its own environment, to see its interface and to convert it.

The same model, environment, question and scripts give the same outcome, so it is remembered by
their digest.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloche import artifacts
from cloche.artifacts import Conversion, FileEntry, InferenceBody, OwnRun, Parity, TensorSpec
from cloche.errors import ClocheError
from cloche.verification import model_process
from cloche.verification.reference import own

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.artifacts import Loading, ModelSnapshot, Sandbox
    from cloche.store import Store
    from cloche.verification.asked import Tensors
    from cloche.verification.model_process import Ended, Usage

_KIND = "conversion"
_SCRIPTS = Path(__file__).parent / "scripts"
_SHARED = Path(__file__).parents[1] / "verification" / "reference" / "scripts"
_SERVED = Path(__file__).parents[1] / "repository" / "pyfunc"
"""What serves MLflow's Python functions, with which their conversions are compared."""
_SHARE_OF_MEMORY = 0.8
_MODEL = "model.onnx"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of a model before it runs, and what is wanted."""

    loading: Loading
    inputs: tuple[TensorSpec, ...]
    """What a signature tells, or the user; empty without both."""
    example: Tensors | None
    """A request of the user or of the model."""
    convert: bool = True
    tolerance: float | None = None
    """How far floats of a conversion may be off, as a fraction of the scale; None by default."""
    declared: bool = False
    """Whether the inputs are the user's."""


@dataclass(frozen=True, slots=True)
class OwnEnvironment:
    """The environment of a model."""

    python: Path
    """Its interpreter."""
    lock: str
    """The digest of its lock."""


def run(
    snapshot: ModelSnapshot,
    asked: Asked,
    environment: OwnEnvironment,
    store: Store,
    *,
    timeout: float,
    sandbox: Sandbox,
) -> OwnRun:
    """Return what a model shows in its environment, and its conversion; the files are stored.

    Raises ClocheError: `conversion.<what is wrong>` for a model that cannot be loaded or whose
    inputs nothing tells, `conversion.crashed`, `.timeout`, `.memory`.
    """
    body, header_length = _example(asked)
    key = _key(snapshot, asked, body, environment.lock)
    remembered = _recall(key, store)
    if remembered is not None:
        return remembered
    path = store.tree_path(snapshot.digest) / asked.loading.path
    with tempfile.TemporaryDirectory(prefix="cloche-convert-") as name:
        folder = Path(name)
        if body is not None:
            (folder / "example").write_bytes(body)
        _put(folder, asked, header_length)
        files = store.tree_path(snapshot.digest)
        ended = _execute(
            environment.python, folder, path, timeout=timeout, files=files, sandbox=sandbox
        )
        outcome = _read(folder, snapshot, path, ended, store)
    store.remember(_KIND, key, artifacts.encode(outcome))
    return outcome


def recalled(snapshot: ModelSnapshot, asked: Asked, lock: str, store: Store) -> OwnRun | None:
    """Return what an earlier run of the same told; None without one.

    `lock` is the digest of the environment's lock.
    """
    return _recall(_key(snapshot, asked, _example(asked)[0], lock), store)


def _recall(key: str, store: Store) -> OwnRun | None:
    remembered = store.recall(_KIND, key)
    if remembered is None:
        return None
    outcome = artifacts.decode(OwnRun, remembered)
    return outcome if _is_kept(outcome, store) else None


def _is_kept(outcome: OwnRun, store: Store) -> bool:
    """Return whether what a remembered outcome names is still in the store."""
    sample, made = outcome.sample, outcome.conversion
    return (sample is None or store.use(sample.digest)) and (
        made is None or store.whole(made.digest)
    )


def _example(asked: Asked) -> tuple[bytes | None, int]:
    from cloche.verification.reference.scripts import exchange

    if asked.example is None:
        return None, 0
    encoded: tuple[bytes, int] = exchange.encode(asked.example, "inputs")
    return encoded


def _key(
    snapshot: ModelSnapshot,
    asked: Asked,
    example: bytes | None,
    environment: str,
) -> str:
    inputs = [
        snapshot.digest,
        environment,
        artifacts.digest_of(b"".join(_scripts())),
        asked.loading,
        asked.inputs,
        artifacts.digest_of(example) if example is not None else None,
        asked.convert,
        asked.tolerance,
        asked.declared,
    ]
    return artifacts.digest_of(artifacts.encode(inputs)).removeprefix("sha256:")


def _scripts() -> Iterator[bytes]:
    """Yield the bytes of all scripts: another of them may answer otherwise."""
    for folder in (_SCRIPTS, _SHARED, _SERVED):
        for path in sorted(folder.glob("*.py")):
            yield path.read_bytes()


def _put(folder: Path, asked: Asked, header_length: int) -> None:
    job = {
        **own.described(asked.loading),
        "inputs": [
            {
                "name": spec.name,
                "datatype": spec.datatype,
                "shape": list(spec.shape),
                "labels": list(spec.labels) if asked.declared else [],
            }
            for spec in asked.inputs
        ]
        or None,
        "declared": asked.declared,
        "example": ["example", header_length] if asked.example is not None else None,
        "convert": asked.convert,
        "tolerance": asked.tolerance,
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")


def _execute(
    python: Path, folder: Path, path: Path, *, timeout: float, files: Path, sandbox: Sandbox
) -> Ended:
    free, first = model_process.available_memory(), time.monotonic()

    def stop(usage: Usage) -> str | None:
        if usage.resident > _SHARE_OF_MEMORY * free:
            return "more memory than this machine has to spare"
        if time.monotonic() - first > timeout:
            return f"more than {timeout:.0f} seconds"
        return None

    script = str(_SCRIPTS / "convert.py")
    argv = [str(python), "-s", "-B", "-W", "ignore", script, str(folder), str(path)]
    return model_process.run(
        model_process.confined(argv, folder, python=python, read=[files], sandbox=sandbox),
        cwd=folder,
        timeout=2 * timeout,  # `stop` is sooner, and says it in its own words
        environment={"PYTHONPATH": f"{_SHARED}:{_SERVED}", "HOME": str(folder)},
        stop=stop,
    )


# ── what came of it ───────────────────────────────────────────────────────────────────────────


def _read(folder: Path, snapshot: ModelSnapshot, path: Path, ended: Ended, store: Store) -> OwnRun:
    try:
        outcome = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _crashed(ended, snapshot, path) from None
    if "error" in outcome:
        error = outcome["error"]
        what = error["what"].replace(str(path), snapshot.reference)
        raise ClocheError(error["code"], what, where=snapshot.reference, hint=error["hint"])
    converted = outcome.get("converted")
    return OwnRun(
        outcome["framework"],
        _specs(outcome["inputs"]),
        _specs(outcome["outputs"]),
        tuple(outcome["notes"]),
        _conversion(folder / "converted", converted, store) if converted else None,
        _sample(folder, outcome["sample"], store),
        outcome.get("why"),
    )


def _crashed(ended: Ended, snapshot: ModelSnapshot, path: Path) -> ClocheError:
    said = "" if ended.stopped else f": {ended.last_line.replace(str(path), snapshot.reference)}"
    kind = "crashed"
    if ended.stopped is not None:
        kind = "timeout" if "seconds" in ended.stopped else "memory"
    hints = {
        "timeout": "Allow more with `start_timeout` in cloche.yaml, or serve the model as it is"
        " with `conversion: off`.",
        "memory": "Convert it on a machine with more memory, or serve the model as it is with"
        " `conversion: off`.",
        "crashed": "Load the model with its own framework, in the versions that it was saved with,"
        " to see all that it says.",
    }
    return ClocheError(
        f"conversion.{kind}",
        f"Loading and converting the model ended with {ended.how}{said}",
        where=snapshot.reference,
        hint=hints[kind],
    )


def _specs(described: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(each["name"], each["datatype"], tuple(each["shape"]), tuple(each["labels"]))
        for each in described
    )


def _sample(folder: Path, written: list[Any], store: Store) -> InferenceBody:
    name, header_length = written
    return InferenceBody(store.add_bytes((folder / name).read_bytes()), header_length)


def _conversion(folder: Path, converted: dict[str, Any], store: Store) -> Conversion:
    files = tuple(
        FileEntry(path.name, entry.size, entry.digest)
        for path in sorted(folder.iterdir())
        for entry in [store.add_file(path)]
    )
    return Conversion(
        digest=store.put_tree(files, label="converted"),
        files=files,
        entry=_MODEL,
        converter=converted["converter"],
        parity=tuple(artifacts.convert(Parity, each) for each in converted["parity"]),
        requests=converted["requests"],
    )
