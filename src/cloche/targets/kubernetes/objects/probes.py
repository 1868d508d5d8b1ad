"""How a pod is asked: its golden request before it is ready, and then whether it still is.

No replica gets a request before it has answered the golden one itself: the startup probe asks it,
with a script and the right answer from a ConfigMap of the revision. The request is in the image.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Judge, Origin, Reason, encode
from cloche.verification.reference import scripts

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.artifacts import Deployment

VOLUME = "golden"
FOLDER = "/cloche/probe"
_REQUESTS = "/cloche/golden"
"""Where an image has the requests: `cloche.images.golden`."""
_LARGEST = 512 * 2**10
"""Bytes of an answer that goes into the ConfigMap, which may have 1 MiB in all."""
_PERIOD = 2
_LIMIT = 70
"""Seconds for the golden request, a little more than the script allows itself."""
ASK = Path(__file__).parents[1] / "probe" / "ask.py"
ALIVE = ASK.with_name("alive.py")
STREAM = (ASK.with_name("stream.py"), ASK.with_name("send_grpc.py"))
"""What else asks a model that answers with streams."""
EXCHANGE = Path(scripts.__file__).with_name("exchange.py")
MARK = "The golden request failed: "
"""How the script begins a line that says that an answer is not right."""


def is_asked(deployment: Deployment) -> bool:
    """Return whether the pods of a deployment are asked before they are ready."""
    golden = deployment.golden
    return golden is not None and golden.judge is not Judge.NONE


def of(deployment: Deployment) -> dict[str, Any]:
    """Return the probes of the container."""
    ready = {"httpGet": {"path": "/v2/health/ready", "port": "http"}}
    alive = {"exec": {"command": ["python3", "-I", "-S", "-c", ALIVE.read_text("utf-8")]}}
    asked = {"exec": {"command": ["python3", "-B", f"{FOLDER}/{ASK.name}"]}}
    patience = math.ceil(deployment.operated.start_limit / _PERIOD)
    if is_asked(deployment):
        startup = {**asked, "timeoutSeconds": _LIMIT}
    else:
        startup = {**ready, "timeoutSeconds": 2}
    return {
        "startupProbe": {**startup, "periodSeconds": _PERIOD, "failureThreshold": patience},
        "readinessProbe": {**ready, "periodSeconds": 2, "failureThreshold": 2, "timeoutSeconds": 2},
        "livenessProbe": {**alive, "periodSeconds": 10, "failureThreshold": 6, "timeoutSeconds": 8},
    }


def mounts(deployment: Deployment) -> list[dict[str, Any]]:
    """Return where the container finds the script and the answer."""
    if not is_asked(deployment):
        return []
    return [{"name": VOLUME, "mountPath": FOLDER, "readOnly": True}]


def volumes(deployment: Deployment) -> list[dict[str, Any]]:
    """Return the volume of the ConfigMap, whose name is that of the revision."""
    if not is_asked(deployment):
        return []
    return [{"name": VOLUME, "configMap": {"name": "", "defaultMode": 0o444}}]


def content(deployment: Deployment, read: Callable[[str], bytes]) -> dict[str, bytes]:
    """Return the files of the ConfigMap; `read` returns the bytes of a digest.

    An answer that is too large is left out: then types, shapes and finite values are judged.
    """
    golden, model = deployment.golden, deployment.repository.main
    if golden is None or not is_asked(deployment):
        return {}
    answer = b"" if golden.expected is None else read(golden.expected.digest)
    has_answer = golden.expected is not None and len(answer) <= _LARGEST
    length = None if golden.expected is None else golden.expected.header_length
    asked = {
        "model": model.name,
        "requests": [
            {"file": f"{_REQUESTS}/{model.name}/{number}", "header_length": body.header_length}
            for number, body in enumerate(golden.requests, 1)
        ],
        "outputs": [
            {"name": output.name, "datatype": output.datatype, "shape": output.shape}
            for output in model.outputs
        ],
        "expected": {"file": "expected", "header_length": length} if has_answer else None,
        "tolerances": _tolerances(deployment),
        "finite": _finite(answer, length) if answer and not has_answer else [],
        "streams": model.decoupled,
    }
    run = (ASK, EXCHANGE, *(STREAM if model.decoupled else ()))
    return {
        **{each.name: each.read_bytes() for each in run},
        "asked.json": encode(asked),
        **({"expected": answer} if has_answer else {}),
    }


def _finite(answer: bytes, header_length: int | None) -> list[str]:
    """Return the outputs of an answer that are floats, all of them finite."""
    from cloche.verification import answers, comparison

    found = answers.read(answer, header_length)
    return [
        name
        for name, array in found.tensors.items()
        if array.dtype.kind == "f" and not comparison.nonfinite(array)
    ]


def _tolerances(deployment: Deployment) -> dict[str, float | None]:
    from cloche.verification.comparison import Tolerances

    golden, model = deployment.golden, deployment.repository.main
    tolerances = Tolerances(golden.noise if golden is not None else {}, deployment.tf32)
    return {each.name: tolerances.of(each.name, each.datatype) for each in model.outputs}


def reasons(deployment: Deployment) -> tuple[Reason, ...]:
    """Return why the probes are as they are."""
    default, model = Origin.DEFAULT, Origin.MODEL
    if is_asked(deployment):
        startup = Reason(
            "pod.startupProbe", "golden request", default,
            "A pod gets no request before it has answered the golden one itself.",
        )  # fmt: skip
    else:
        startup = Reason(
            "pod.startupProbe", "/v2/health/ready", model,
            "No request is known that the model accepts.",
        )  # fmt: skip
    return (
        startup,
        Reason("pod.readinessProbe", "/v2/health/ready", default, "The server says whether its"
               " models are loaded."),
        Reason("pod.livenessProbe", "alive.py", default, "It asks the server, and looks whether the"
               " process of a model was killed; a full queue is no reason to restart."),
    )  # fmt: skip
