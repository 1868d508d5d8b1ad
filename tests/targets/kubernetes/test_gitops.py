"""Exports of a service: what they leave out, and that a chart's values give the same objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cloche.artifacts import Operated
from cloche.targets.kubernetes.gitops import files, objects
from fixtures.exports import FIXED, IMAGE, SCALED, of


def flat(value: Any) -> list[str]:
    """Return all keys and texts in an object."""
    if isinstance(value, dict):
        return [*value, *(text for item in value.values() for text in flat(item))]
    if isinstance(value, list):
        return [text for item in value for text in flat(item)]
    return [str(value)]


@pytest.mark.parametrize("operated", [FIXED, SCALED])
def test_nothing_says_that_cloche_keeps_it(operated: Operated) -> None:
    for name, body in of(operated, *objects.ADDONS).items():
        said = flat(body)
        assert "app.kubernetes.io/managed-by" not in said, name
        assert "ownerReferences" not in said, name
        assert "cloche.dev/revision" not in said or body["kind"] == "PodMonitor", name
        assert not any(text.startswith("digits-r") for text in said), name


def test_one_deployment_is_rolled_by_kubernetes() -> None:
    found = of()
    workload = found["Deployment/digits"]["spec"]
    assert workload["replicas"] == 2
    assert workload["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert "revisionHistoryLimit" not in workload
    server = workload["template"]["spec"]["containers"][0]
    assert server["startupProbe"]["exec"]["command"][-1].endswith("ask.py")
    assert workload["selector"]["matchLabels"].items() <= (
        workload["template"]["metadata"]["labels"].items()
    )
    selected = found["Service/digits"]["spec"]["selector"]
    assert selected == workload["selector"]["matchLabels"]
    backends = [
        backend
        for rule in found["HTTPRoute/digits"]["spec"]["rules"]
        for backend in rule["backendRefs"]
    ]
    assert {backend["name"] for backend in backends} == {"digits"}
    assert not any("weight" in backend for backend in backends)
    scaled = of(SCALED)
    assert "replicas" not in scaled["Deployment/digits"]["spec"]
    assert scaled["ScaledObject/digits"]["spec"]["scaleTargetRef"] == {"name": "digits"}


def test_two_versions_have_their_own_golden_answer() -> None:
    names = []
    for answer in (b"one", b"two"):
        found = of(answer=answer)
        (config,) = (body for name, body in found.items() if name.startswith("ConfigMap/"))
        (volume,) = (
            each["configMap"]["name"]
            for each in found["Deployment/digits"]["spec"]["template"]["spec"]["volumes"]
            if "configMap" in each
        )
        assert volume == config["metadata"]["name"]
        names.append(volume)
    assert len({*names}) == 2


def test_kinds_of_addons_come_when_they_are_asked_for() -> None:
    assert not {"PodMonitor", "BackendTrafficPolicy"} & {name.split("/")[0] for name in of()}
    assert "PodMonitor/digits" in of(FIXED, "prometheus-operator")
    assert "BackendTrafficPolicy/digits.http" in of(FIXED, "envoy-gateway")


def test_files_hold_the_objects() -> None:
    bodies = list(of().values())
    for written in (files.kubernetes(bodies), files.kustomize(bodies, "vision")):
        read = [YAML(typ="safe").load(text) for text in written.values()]
        assert len({*written}) == len(read)
        assert all(text.startswith(files.MARK) for text in written.values())
    plain = [YAML(typ="safe").load(text) for text in files.kubernetes(bodies).values()]
    assert plain == bodies


def test_a_chart_quotes_what_its_engine_would_read(tmp_path: Path) -> None:
    bodies = list(of(SCALED).values())
    bodies[0]["metadata"]["annotations"] = {"example.com/note": "{{ .Release.Name }}"}
    chart = files.helm(bodies, "digits", "1.0.0", "models:/digits/3")
    first = next(text for name, text in chart.items() if name.startswith("templates/"))
    assert '{{ "{{" }} .Release.Name }}' in first
    values = YAML(typ="safe").load(chart["values.yaml"])
    assert values["image"] == IMAGE
    assert (values["minReplicas"], values["maxReplicas"]) == (2, 9)
    assert values["hostnames"] == ["digits.example.com"]
    assert "namespace" not in YAML(typ="safe").load(chart["Chart.yaml"])
