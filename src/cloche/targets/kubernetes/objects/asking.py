"""The Job that sends one request to a pod of a revision, where no port can be forwarded.

It runs the image of that pod, for its Python and its golden request, and has no label by which the
service, its policies or its counts would take it for a replica.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloche.artifacts import encode
from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.objects import metadata, pod, weights

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTAINER = "ask"
LIMIT = 50
"""Seconds that it may take, a new node's pull of the image among them."""
_SENDING = 40
_KEPT = 300
"""Seconds after which the cluster removes it, if the command that made it was killed."""
_FOLDER = "/cloche/asked"
_SCRIPTS = Path(__file__).parents[1] / "probe"
_SIZES = {"cpu": "100m", "memory": "256Mi"}
_ALIKE = (
    "securityContext", "imagePullSecrets", "nodeSelector", "tolerations", "serviceAccountName",
)  # fmt: skip
"""What it has as the pod has it."""


def request(
    name: str, asked: Mapping[str, Any], body: bytes | None, target: dict[str, Any]
) -> dict[str, Any]:
    """Return the ConfigMap of a request to the pod `target`; `body` where no image has it."""
    files = {"request.json": encode({**asked, "limit": _SENDING})}
    if body is not None:
        files["body"] = body
    data = {key: base64.b64encode(value).decode() for key, value in files.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", **_named(name, target), "binaryData": data}


def job(name: str, target: dict[str, Any], script: str = "send") -> dict[str, Any]:
    """Return the Job of a request to the pod `target`, which runs a script of `probe/`."""
    labels = {key: target["metadata"]["labels"][key] for key in (names.SERVICE, names.REVISION)}
    near = {"labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname"}
    (server,) = (each for each in target["spec"]["containers"] if each["name"] == pod.CONTAINER)
    own = [each for each in target["spec"].get("volumes", ()) if each["name"] == weights.VOLUME]
    mounts = [each for each in server.get("volumeMounts", ()) if each["name"] == weights.VOLUME]
    container = {
        "name": CONTAINER,
        "image": server["image"],
        "command": ["python3", "-I", "-S", "-c", (_SCRIPTS / f"{script}.py").read_text("utf-8")],
        "securityContext": server["securityContext"],
        "resources": {"requests": _SIZES, "limits": _SIZES},
        "volumeMounts": [{"name": "asked", "mountPath": _FOLDER, "readOnly": True}, *mounts],
    }
    spec = {
        **{key: target["spec"][key] for key in _ALIKE if target["spec"].get(key)},
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        # A node that has such a pod has the image.
        "affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 100, "podAffinityTerm": near},
        ]}},
        "containers": [container],
        "volumes": [{"name": "asked", "configMap": {"name": name}}, *own],
    }  # fmt: skip
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        **_named(name, target),
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": LIMIT,
            "ttlSecondsAfterFinished": _KEPT,
            "template": {
                "metadata": {"labels": {names.MANAGED_BY: names.CLOCHE}},
                "spec": spec,
            },
        },
    }


def _named(name: str, target: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata of an object that goes with the pod that is asked."""
    body = {"metadata": {
        "name": name,
        "namespace": target["metadata"]["namespace"],
        "labels": {names.MANAGED_BY: names.CLOCHE},
    }}  # fmt: skip
    whole = {"apiVersion": "v1", "kind": "Pod", **target}
    return metadata.owned_by(body, whole)
