"""A Kubernetes Job in which kaniko builds the image of a service and pushes it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.images.export.dockerfile import MARK

if TYPE_CHECKING:
    from cloche.clients.oci.reference import ImageReference
    from cloche.images.image import Platform

EXECUTOR = "gcr.io/kaniko-project/executor:v1.24.0"
"""The last one of its first maintainer."""
ARCHIVE, JOB = "context.tar.gz", "job.yaml"
NAMES = frozenset({ARCHIVE, JOB})
_CREDENTIALS = "/kaniko/.docker"
_CONTEXT = "/context"
_SUFFIX = "-image"
_LONGEST_NAME = 63
_SECONDS = 3600
"""Seconds for a build, and until a finished Job is removed."""
_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID")
"""What it takes to unpack a base and to run an installer: some of what containers have anyway."""
_HEAD = """\
{mark}: kaniko builds the image of {service} and pushes it to
# {tag}
#
{steps}
#
# The container is root, for it unpacks the base in itself; it has no privilege beyond that.
# --reproducible gives one digest for the same context; it writes the layers of the base anew, too,
# and holds each in memory.
#
# kaniko was archived by its first maintainer in 2025, and forks of it go on: the image of any of
# them may be the container's.
"""
_ATTACHED = """\
#     kubectl apply -f job.yaml
#     kubectl wait --for=jsonpath='{{.status.ready}}'=1 --timeout=10m job/{name}
#     kubectl attach --stdin job/{name} < context.tar.gz
#     kubectl wait --for=condition=complete --timeout=1h job/{name}
#
# The context is what it reads from its standard input; so it is not tried twice."""
_CLAIMED = """\
#     kubectl apply -f job.yaml
#     kubectl wait --for=condition=complete --timeout=1h job/{name}
#
# The context lies in the volume of the claim {claim}: copy context.tar.gz there before, as by
# `kubectl cp` to a pod that mounts it."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a Job is told."""

    service: str
    tag: ImageReference
    platform: Platform
    executor: str = EXECUTOR
    secret: str | None = None
    """A secret of the type `kubernetes.io/dockerconfigjson`, to pull and push with."""
    claim: str | None = None
    """A PersistentVolumeClaim with the context; without one it is the standard input."""

    @property
    def name(self) -> str:
        """Return its name in the cluster."""
        return self.service[: _LONGEST_NAME - len(_SUFFIX)].rstrip("-") + _SUFFIX

    def text(self) -> str:
        """Return it as YAML, with what to do in comments."""
        from ruamel.yaml import YAML

        steps = (_CLAIMED if self.claim else _ATTACHED).format(name=self.name, claim=self.claim)
        out = io.StringIO()
        out.write(_HEAD.format(mark=MARK, service=self.service, tag=self.tag, steps=steps))
        YAML(typ="rt", pure=True).dump(self.manifest(), out)
        return out.getvalue()

    def manifest(self) -> dict[str, Any]:
        """Return it as Kubernetes takes it."""
        pod = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "nodeSelector": {
                "kubernetes.io/os": self.platform.os,
                "kubernetes.io/arch": self.platform.architecture,
            },
            "containers": [self._container()],
            "volumes": self._volumes(),
        }
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": self.name},
            "spec": {
                "backoffLimit": 1 if self.claim else 0,
                "activeDeadlineSeconds": _SECONDS,
                "ttlSecondsAfterFinished": _SECONDS,
                "template": {"spec": pod},
            },
        }

    def _container(self) -> dict[str, Any]:
        context = f"{_CONTEXT}/{ARCHIVE}" if self.claim else "stdin"
        mounts = {"credentials": _CREDENTIALS} if self.secret else {}
        if self.claim:
            mounts["context"] = _CONTEXT
        return {
            "name": "kaniko",
            "image": self.executor,
            "args": [f"--context=tar://{context}", f"--destination={self.tag}", "--reproducible"],
            **({} if self.claim else {"stdin": True, "stdinOnce": True}),
            "securityContext": {
                "privileged": False,
                "allowPrivilegeEscalation": False,
                "runAsUser": 0,
                "capabilities": {"drop": ["ALL"], "add": list(_CAPABILITIES)},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "resources": {
                "requests": {"cpu": "1", "memory": "2Gi"},
                "limits": {"memory": "8Gi"},
            },
            "volumeMounts": [
                {"name": name, "mountPath": path, "readOnly": True} for name, path in mounts.items()
            ],
        }

    def _volumes(self) -> list[dict[str, Any]]:
        volumes: list[dict[str, Any]] = []
        if self.secret:
            items = [{"key": ".dockerconfigjson", "path": "config.json"}]
            secret = {"secretName": self.secret, "items": items}
            volumes.append({"name": "credentials", "secret": secret})
        if self.claim:
            claim = {"claimName": self.claim, "readOnly": True}
            volumes.append({"name": "context", "persistentVolumeClaim": claim})
        return volumes
