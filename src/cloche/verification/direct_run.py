"""Direct runs of a model outside the server, by its own framework.

A script of `reference/scripts/` runs the model in a process of its own, which exchanges requests
and answers in files (`scripts/job.py` has their form).
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloche.artifacts import RequestOrigin, TensorSpec
from cloche.errors import ClocheError
from cloche.sandbox import remedies
from cloche.verification import model_process
from cloche.verification.asked import Accepted, Attempts, Refused
from cloche.verification.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cloche.verification.asked import Model, Request, Tensors, Variant
    from cloche.verification.model_process import Ended

_SCRIPTS = Path(__file__).parent / "reference" / "scripts"
_ANSWER_LIMIT = 512 * 2**20


def attempt(
    model: Model,
    requests: Sequence[Request],
    *,
    outputs: Mapping[str, Sequence[int]],
    timeout: float,
) -> Attempts:
    """Run requests in turn until the model answers one with finite values of the declared shapes.

    `outputs` has the declared shapes. A request that ends the process is refused, and the next one
    gets a new process. Raises ClocheError: `golden.timeout`
    after `timeout` seconds, `golden.crashed` if the model cannot be loaded.
    """
    with tempfile.TemporaryDirectory(prefix="cloche-direct-") as name:
        folder, deadline = Path(name), time.monotonic() + timeout
        job = _write_job(folder, requests, outputs)
        refused: list[Refused] = []
        while job["first"] < len(requests):
            _put(folder / "job.json", job)
            ended = _execute(model, folder, requests, deadline - time.monotonic())
            if (folder / "done.json").is_file():
                break
            refused.append(_crash(model, folder, job["first"], ended))
            job["first"] = refused[-1].request + 1
        return _read(model, folder, requests, refused)


def repeat(
    model: Model, request: Request, variant: Variant, *, times: int, timeout: float
) -> list[Tensors]:
    """Return the answers to the same request in a fresh process, the last with floats moved by one.

    Raises ClocheError as `attempt`, and `golden.crashed` if the model refuses the request now.
    """
    run = replace(model, description={**model.description, **variant.description})
    with tempfile.TemporaryDirectory(prefix="cloche-direct-") as name:
        folder = Path(name)
        job = _write_job(folder, [request], {})
        _put(folder / "job.json", {**job, "repeat": times})
        # It was answered before, so it is no longer a trial.
        known = replace(request, origin=RequestOrigin.STORED)
        ended = _execute(run, folder, [known], timeout, variant.environment)
        if not (folder / "done.json").is_file():
            raise _crashed(model, ended)
        return [
            _tensors(folder / f"answer-{turn}", _get(folder / f"result-{turn}.json")["answer"])
            for turn in range(times)
        ]


# ── the job ───────────────────────────────────────────────────────────────────────────────────


def _write_job(
    folder: Path, requests: Sequence[Request], outputs: Mapping[str, Sequence[int]]
) -> dict[str, Any]:
    from cloche.verification.reference.scripts import exchange

    listed = []
    for index, request in enumerate(requests):
        body, header_length = exchange.encode(request.tensors, "inputs", request.parameters)
        (folder / f"request-{index}").write_bytes(body)
        origin, rows = request.origin.value, request.rows
        listed.append([f"request-{index}", header_length, origin, rows])
    declared = {name: list(shape) for name, shape in outputs.items()}
    return {"requests": listed, "first": 0, "outputs": declared, "repeat": 0}


def _execute(
    model: Model,
    folder: Path,
    requests: Sequence[Request],
    timeout: float,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    _put(folder / "model.json", model.description)
    # -I would hide the sibling module that the scripts import; -P needs Python 3.11.
    script = str(_SCRIPTS / model.script)
    argv = [str(model.python), "-s", "-B", script, str(folder), str(model.path)]
    variables = dict(environment or {})
    if model.confined_to is not None:
        variables["HOME"] = str(folder)
        argv = model_process.confined(
            argv, folder, python=model.python, read=[model.confined_to], sandbox=model.sandbox,
            network=model.network,
        )  # fmt: skip
    return model_process.run(
        argv,
        cwd=folder,
        timeout=max(timeout, 0.0),
        environment=variables,
        stop=Limits(folder / "begun.json", [r.origin for r in requests]).exceeded,
    )


def _crash(model: Model, folder: Path, first: int, ended: Ended) -> Refused:
    """Return the request that ended the process; raises if it was none."""
    begun = _get(folder / "begun.json")
    if begun is None or begun < first:
        raise _crashed(model, ended)
    kind = "crash"
    if ended.stopped is not None:
        kind = "time" if "seconds" in ended.stopped else "memory"
    said = "" if ended.stopped is not None else f": {model.named_in(ended.last_line)}"
    return Refused(begun, f"its process ended with {ended.how}{said}", kind)


_LOCALE = re.compile(r"construct locale with name: ?([\w-]+(\.[\w-]+)?)")
"""How ONNX Runtime refuses text operators (StringNormalizer) for want of a locale."""


def _crashed(model: Model, ended: Ended) -> ClocheError:
    locale = _LOCALE.search(ended.last_line)
    if locale is not None:
        return ClocheError(
            "golden.locale",
            f"The model needs the locale {locale[1]}, which this machine does not have.",
            where=model.name or None,
            hint="Install it (on Debian: the package locales, then locale-gen), here and wherever"
            " the model runs. Or export it for the locale C, which is everywhere; for skl2onnx:"
            " options={TfidfVectorizer: {'locale': 'C'}}.",
        )
    remedy = remedies.of_files([ended.last_line]) if model.closes_files else None
    return ClocheError(
        "golden.crashed",
        f"The direct run of the model ended with {ended.how}: {model.named_in(ended.last_line)}",
        where=model.name or None,
        hint=remedy
        or "Load the model with its own framework, in the versions that it was saved with, to see"
        " all that it says.",
    )


# ── what came of it ───────────────────────────────────────────────────────────────────────────


def _read(
    model: Model, folder: Path, requests: Sequence[Request], crashed: Sequence[Refused]
) -> Attempts:
    refused, best = list(crashed), None
    for index in range(len(requests)):
        result = _get(folder / f"result-{index}.json")
        if result is None:
            continue
        if "error" in result:
            refused.append(Refused(index, model.named_in(result["error"]), result["kind"]))
        elif best is None or _rank(result) > _rank(best[1]):
            best = index, result
    loaded = _get(folder / "loaded.json") or {}
    return Attempts(
        _accepted(folder, *best) if best is not None else None,
        tuple(sorted(refused, key=lambda each: each.request)),
        _specs(loaded.get("inputs")),
        _specs(loaded.get("outputs")),
    )


def _accepted(folder: Path, index: int, result: Mapping[str, Any]) -> Accepted:
    def tensors(kind: str) -> Tensors | None:
        return _tensors(folder / f"{kind}-{index}", result[kind]) if kind in result else None

    return Accepted(
        index,
        tensors("answer") or {},
        result["fits"],
        result["values"],
        tensors("alone"),
        tensors("permuted"),
        result.get("rows_error"),
    )


def _rank(result: Mapping[str, Any]) -> tuple[bool, int]:
    return result["fits"], result["values"]


def _specs(described: list[dict[str, Any]] | None) -> tuple[TensorSpec, ...] | None:
    if described is None:
        return None
    return tuple(
        TensorSpec(each["name"], each["datatype"], tuple(each["shape"])) for each in described
    )


def _tensors(path: Path, header_length: int) -> Tensors:
    if path.stat().st_size > _ANSWER_LIMIT:
        raise ClocheError(
            "golden.large",
            f"The model answers the golden request with more than {_ANSWER_LIMIT:,} bytes.",
            hint="Log the model with a smaller input example.",
        )
    from cloche.verification.reference.scripts import exchange

    tensors: Tensors = exchange.decode(path.read_bytes(), header_length, "outputs")
    return tensors


def _put(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def _get(path: Path) -> Any:
    with suppress(FileNotFoundError):
        return json.loads(path.read_text(encoding="utf-8"))
    return None
