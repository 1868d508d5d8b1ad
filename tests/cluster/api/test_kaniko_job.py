"""The Job of `cloche export kaniko`, judged by a real API server's strict dry run."""

from __future__ import annotations

import json

import pytest
from ruamel.yaml import YAML

from cloche.clients.oci import reference as references
from cloche.images.export.kaniko import Job
from cloche.images.image import Platform
from cluster.harness.api_server import ApiServer
from cluster.harness.errors import HarnessError

TAG = references.parse("registry.example.com/team/scores:1")
MORE = ({}, {"secret": "team", "claim": "contexts", "executor": "example.com/fork:1"})


def apply(api_server: ApiServer, namespace: str, text: str) -> str:
    words = ("-n", namespace, "apply", "--server-side", "--dry-run=server", "--validate=strict")
    return api_server.kubectl(*words, "-f", "-", stdin=text)


@pytest.mark.parametrize("more", MORE, ids=["plain", "all"])
def test_an_api_server_takes_the_job(
    api_server: ApiServer, api_namespace: str, more: dict[str, str]
) -> None:
    text = Job("scores", TAG, Platform("linux", "amd64"), **more).text()
    assert "job.batch/scores-image serverside-applied" in apply(api_server, api_namespace, text)
    made = YAML(typ="safe").load(text)
    made["spec"]["template"]["spec"]["containers"][0]["stdinonce"] = True
    with pytest.raises(HarnessError, match="stdinonce"):
        apply(api_server, api_namespace, json.dumps(made))


@pytest.mark.parametrize("more", MORE, ids=["plain", "all"])
def test_a_namespace_of_the_baseline_profile_takes_its_pod(
    api_server: ApiServer, api_namespace: str, more: dict[str, str]
) -> None:
    """kaniko has to be root, which the restricted profile forbids."""
    label = "pod-security.kubernetes.io/enforce=baseline"
    api_server.kubectl("label", "namespace", api_namespace, label)
    job = YAML(typ="safe").load(Job("scores", TAG, Platform("linux", "amd64"), **more).text())
    template = job["spec"]["template"]
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "scores-image"},
        "spec": {**template["spec"], "serviceAccountName": "default"},
    }  # fmt: skip
    assert "pod/scores-image" in apply(api_server, api_namespace, json.dumps(pod))
