"""Exports, as kustomize, Helm and an API server read them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cloche.artifacts import Exposure, Operated, ReplicaRange
from cloche.targets.kubernetes.gitops import files, folder
from cluster.harness.api_server import ApiServer
from cluster.harness.programs import Programs
from fixtures.exports import BY_ADAPTER, FIXED, SCALED, of

PLAIN = Operated(ReplicaRange.exactly(2), exposure=Exposure())
NAMESPACE = "vision"


@pytest.fixture
def programs() -> Programs:
    found = Programs()
    if missing := found.missing("api", "checks"):
        pytest.skip(f"needs {', '.join(missing)}: make kubernetes-api")
    return found


def printed(*words: str | Path) -> dict[str, Any]:
    done = subprocess.run([*words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return by_name(YAML(typ="safe").load_all(done.stdout))


def by_name(bodies: Any) -> dict[str, Any]:
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in bodies if each}


def without_namespace(bodies: dict[str, Any]) -> dict[str, Any]:
    for body in bodies.values():
        body["metadata"].pop("namespace", None)
    return bodies


@pytest.mark.parametrize("operated", [PLAIN, FIXED, SCALED, BY_ADAPTER])
def test_all_forms_are_the_same_objects(
    programs: Programs, tmp_path: Path, operated: Operated
) -> None:
    wanted = of(operated, "envoy-gateway", "prometheus-operator")
    bodies = list(wanted.values())
    chart = files.helm(bodies, "digits", "1.0.0+abc", "models:/digits/3")
    folder.write(tmp_path / "chart", chart, overwrite=False)
    folder.write(tmp_path / "kustomize", files.kustomize(bodies, NAMESPACE), overwrite=False)
    folder.write(tmp_path / "plain", files.kubernetes(bodies), overwrite=False)

    rendered = printed(
        programs.path("helm"), "template", "any", tmp_path / "chart", "--namespace", NAMESPACE
    )
    built = printed(programs.path("kubectl"), "kustomize", tmp_path / "kustomize")
    assert built == wanted
    assert rendered == without_namespace(wanted)


def test_the_values_of_a_chart_change_what_they_name(programs: Programs, tmp_path: Path) -> None:
    chart = files.helm(of(SCALED).values(), "digits", "1.0.0", "models:/digits/3")
    folder.write(tmp_path, chart, overwrite=False)
    given = {
        "image": "registry.test/other@sha256:" + "1" * 64, "maxReplicas": 40,
        "nodeSelector": {"disk": "ssd"}, "hostnames": ["other.example.com"],
    }  # fmt: skip
    (tmp_path / "mine.yaml").write_text(json.dumps(given))
    found = printed(programs.path("helm"), "template", "x", tmp_path, "-f", tmp_path / "mine.yaml")
    pod = found["Deployment/digits"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == given["image"]
    assert pod["nodeSelector"]["disk"] == "ssd"
    assert found["ScaledObject/digits"]["spec"]["maxReplicaCount"] == 40
    assert found["HTTPRoute/digits"]["spec"]["hostnames"] == given["hostnames"]


def test_the_range_of_either_autoscaler_is_a_value(programs: Programs, tmp_path: Path) -> None:
    chart = files.helm(of(BY_ADAPTER).values(), "digits", "1.0.0", "models:/digits/3")
    folder.write(tmp_path, chart, overwrite=False)
    words = ("template", "x", tmp_path, "--set", "minReplicas=3,maxReplicas=40")
    found = printed(programs.path("helm"), *words)
    spec = found["HorizontalPodAutoscaler/digits"]["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 40)
    assert "replicas" not in found["Deployment/digits"]["spec"]


def test_an_api_server_takes_them(api_server: ApiServer, api_namespace: str) -> None:
    bodies = without_namespace(of(PLAIN))
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(bodies.values())})
    words = ("-n", api_namespace, "apply", "--server-side", "-f", "-", "--validate=strict")
    assert api_server.kubectl(*words, stdin=text).count("serverside-applied") == len(bodies)
    kinds = "deployments,services,networkpolicies,configmaps,pdb,serviceaccounts"
    path = "jsonpath={.items[*].metadata.resourceVersion}"
    before = api_server.kubectl("-n", api_namespace, "get", kinds, "-o", path)
    api_server.kubectl(*words, stdin=text)
    assert api_server.kubectl("-n", api_namespace, "get", kinds, "-o", path) == before
