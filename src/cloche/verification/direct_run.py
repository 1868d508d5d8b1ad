"""A direct run of a model outside Triton, in a separate process with limits on time and output.

The model's code runs only in that process. The process gets a folder with the requests, writes its
answers there as plain tensors, and is killed with everything it started when its time is up.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING, Any

from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

Tensors = dict[str, "NDArray[Any]"]

_SCRIPTS = Path(__file__).parent / "reference" / "scripts"
_ANSWER_LIMIT = 512 * 2**20
_TAIL = 16 * 1024
_KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class Model:
    """A model to run: a script of `reference/scripts/`, its interpreter, and the model's path."""

    script: str
    python: Path
    path: Path
    description: dict[str, Any]
    """The script's description of the model; empty if the model describes itself."""


@dataclass(frozen=True, slots=True)
class DirectRun:
    """The answer of a direct run; `request` is the index of the request that the model accepted."""

    request: int
    outputs: Tensors
    alone: Tensors | None
    """The same rows, each run alone and joined again."""


class RefusedError(ClocheError):
    """The model refuses all requests that it was run with."""


def run(model: Model, requests: Sequence[Tensors], *, rows: int, timeout: float) -> DirectRun:
    """Run the first request that the model accepts; `rows` > 0 also runs each row alone.

    Raises ClocheError: `golden.timeout` after `timeout` seconds, `golden.crashed` if the process
    exits abnormally, `golden.refused` if the model refuses all requests.
    """
    with tempfile.TemporaryDirectory(prefix="cloche-direct-") as name:
        folder = Path(name)
        _write_job(folder, model, requests, rows)
        # -I would hide the sibling module that the scripts import; -P needs Python 3.11.
        argv = [str(model.python), "-s", "-B", str(_SCRIPTS / model.script), name, str(model.path)]
        code, tail = _execute(argv, cwd=folder, timeout=timeout)
        if code != 0 or not (folder / "outcome.json").is_file():
            raise ClocheError(
                "golden.crashed",
                f"The direct run of the model ended with {_ending(code)}: {_last(tail)}",
                where=str(model.path),
                hint="Load the model in its own environment to find out; its output is above.",
            )
        return _read_answer(folder, rows)


def _write_job(folder: Path, model: Model, requests: Sequence[Tensors], rows: int) -> None:
    from cloche.verification.reference.scripts import exchange

    job = []
    for index, tensors in enumerate(requests):
        body, header_length = exchange.encode(tensors, "inputs")
        (folder / f"request-{index}").write_bytes(body)
        job.append([f"request-{index}", header_length])
    (folder / "job.json").write_text(json.dumps({"requests": job, "rows": rows}), encoding="utf-8")
    (folder / "model.json").write_text(json.dumps(model.description), encoding="utf-8")


def _read_answer(folder: Path, rows: int) -> DirectRun:
    outcome = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
    if outcome["request"] is None:
        raise RefusedError(
            "golden.refused",
            f"The model, run directly, refused the golden request: {outcome['errors'][0].strip()}",
            hint="Give it an example that it can answer: write `example: FILE` in cloche.yaml "
            "(`cloche init MODEL` begins one), or log the model in MLflow with input_example=….",
        )
    outputs = _tensors(folder / "answer", outcome["answer"])
    alone = _tensors(folder / "alone", outcome["alone"]) if rows else None
    return DirectRun(outcome["request"], outputs, alone)


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


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a model's process needs, without the user's secrets."""
    kept = {name: given[name] for name in _KEPT if name in given}
    return {
        "LANG": "C.UTF-8",
        **kept,
        "PYTHONUNBUFFERED": "1",
        "GIT_PYTHON_REFRESH": "quiet",
    }


def _execute(argv: list[str], *, cwd: Path, timeout: float) -> tuple[int, str]:
    """Run a program in its own process group; return its exit code and last output."""
    try:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=_environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise ClocheError(
            "golden.environment",
            f"The interpreter of the model's environment does not start: {error.strerror}.",
            where=argv[0],
            hint="Remove the environment's folder; the next deploy makes it again.",
        ) from error
    tail: deque[bytes] = deque(maxlen=_TAIL // 1024)
    reader = Thread(target=_drain, args=(process.stdout, tail), daemon=True)
    reader.start()
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        raise ClocheError(
            "golden.timeout",
            f"The direct run of the model did not end within {timeout:.0f} seconds.",
            hint="Log the model with a smaller input example, or allow more time with"
            " `start_timeout` in its cloche.yaml.",
        ) from None
    finally:
        _end(process)
        reader.join(timeout=5)
    return code, b"".join(tail).decode("utf-8", "replace")


def _drain(stream: IO[bytes] | None, tail: deque[bytes]) -> None:
    assert stream is not None  # noqa: S101 - Popen was given a pipe
    with stream:
        while chunk := stream.read1(1024):  # type: ignore[attr-defined]
            tail.append(chunk)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the process's group and reap the process."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _ending(code: int) -> str:
    if code < 0:
        killed = " (perhaps out of memory)" if -code == signal.SIGKILL else ""
        return f"signal {signal.Signals(-code).name}{killed}"
    return f"exit code {code}"


def _last(tail: str) -> str:
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    return lines[-1][:500] if lines else "it printed nothing"
