"""KEDA and Prometheus in a cluster: what measures, and what scales by it."""

from __future__ import annotations

import io
import json
import tempfile
from base64 import b64encode
from pathlib import Path
from string import Template
from typing import Any

from ruamel.yaml import YAML

from cluster.harness import images
from cluster.harness.access import Kubectl
from cluster.harness.certificates import Authority
from cluster.harness.programs import Programs
from cluster.harness.waiting import wait_until

KEDA = "keda"
MONITORING = "monitoring"
PROMETHEUS_URL = f"http://prometheus.{MONITORING}.svc:9090"
SCRAPE_SECONDS = 5
_PROGRAMS = {"keda-operator": "keda-operator", "keda-metrics-apiserver": "keda-adapter"}
"""The program of each Deployment of KEDA."""
_METRICS = "/apis/external.metrics.k8s.io/v1beta1"
_OF_PODS = "/apis/custom.metrics.k8s.io/v1beta1"
_LIMIT = "--timeout=180s"


def install(kubectl: Kubectl, host: str, programs: Programs) -> None:
    """Run both, and wait until they answer; nothing happens where they run."""
    if answers(kubectl):
        return
    _install_prometheus(kubectl, host, programs)
    _install_keda(kubectl, host, programs)
    wait_until(lambda: answers(kubectl), "KEDA's metrics API")


def install_adapter(
    kubectl: Kubectl, host: str, programs: Programs, rules: list[dict[str, Any]]
) -> None:
    """Run Prometheus and prometheus-adapter with some rules, and wait until it answers."""
    if answers(kubectl, _OF_PODS):
        return
    if kubectl.run("-n", MONITORING, "get", "deployment", "prometheus").returncode:
        _install_prometheus(kubectl, host, programs)
    image = images.push_program(
        host, "prometheus-adapter", programs.path("prometheus-adapter")
    )  # fmt: skip
    path = Path(__file__).parent / "manifests" / "prometheus-adapter.yaml"
    config = json.dumps({"rules": rules}).replace("'", "''")
    values = {"image": image, "namespace": MONITORING, "url": PROMETHEUS_URL, "rules": config}
    kubectl.apply(Template(path.read_text(encoding="utf-8")).substitute(values))
    _wait(kubectl, MONITORING, "prometheus-adapter")
    wait_until(lambda: answers(kubectl, _OF_PODS), "the API of prometheus-adapter")


def answers(kubectl: Kubectl, api: str = _METRICS) -> bool:
    """Return whether autoscalers can read what KEDA measures, or what another API serves."""
    return kubectl.run("get", "--raw", api).returncode == 0


def _install_prometheus(kubectl: Kubectl, host: str, programs: Programs) -> None:
    image = images.push_program(host, "prometheus", programs.path("prometheus"))
    text = (Path(__file__).parent / "manifests" / "prometheus.yaml").read_text(encoding="utf-8")
    values = {"image": image, "namespace": MONITORING, "interval": f"{SCRAPE_SECONDS}s"}
    kubectl.apply(Template(text).substitute(values))
    _wait(kubectl, MONITORING, "prometheus")


def _install_keda(kubectl: Kubectl, host: str, programs: Programs) -> None:
    """Apply KEDA's own manifests, with its programs from here and certificates of ours.

    With its own rotation the first start waits a minute for a kubelet to refresh the secret.
    """
    pushed = {
        deployment: images.push_program(host, program, programs.path(program))
        for deployment, program in _PROGRAMS.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        secret, authority = _certificates(Path(folder))
    kubectl.apply(_text([{**_NAMESPACE, "metadata": {"name": KEDA}}, secret]))
    manifests = YAML(typ="safe").load_all(programs.path("keda.yaml").read_text(encoding="utf-8"))
    kubectl.apply(_text([_ours(body, pushed, authority) for body in manifests]))
    for deployment in _PROGRAMS:
        _wait(kubectl, KEDA, deployment)


_NAMESPACE: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace"}


def _certificates(folder: Path) -> tuple[dict[str, Any], str]:
    """Return the secret with the certificates of KEDA's programs, and their authority."""
    authority = Authority(folder)
    hosts = (f"keda-operator.{KEDA}.svc", f"keda-metrics-apiserver.{KEDA}.svc")
    names = [f"DNS:{host}" for each in hosts for host in (each, f"{each}.cluster.local")]
    pair = authority.issue(KEDA, f"/CN={KEDA}", names)
    files = {"ca.crt": authority.certificate, "tls.crt": pair.certificate, "tls.key": pair.key}
    data = {name: b64encode(path.read_bytes()).decode() for name, path in files.items()}
    metadata = {"name": "kedaorg-certs", "namespace": KEDA}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}, data[
        "ca.crt"
    ]


def _ours(body: dict[str, Any], pushed: dict[str, str], authority: str) -> dict[str, Any]:
    """Return an object of KEDA as this cluster runs it."""
    name = body["metadata"]["name"]
    if body["kind"] == "Deployment":
        (container,) = body["spec"]["template"]["spec"]["containers"]
        container |= {
            "image": pushed[name], "command": [f"/bin/{_PROGRAMS[name]}"],
            "imagePullPolicy": "IfNotPresent",
            "args": [
                word.replace("cert-rotation=true", "cert-rotation=false")
                for word in container["args"]
            ],
        }  # fmt: skip
        for probe in ("livenessProbe", "readinessProbe"):
            container[probe] |= {"initialDelaySeconds": 1, "periodSeconds": 2}
    if body["kind"] == "APIService":
        body["spec"] |= {"caBundle": authority}
    return body


def _text(bodies: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    YAML(typ="safe", pure=True).dump_all(bodies, out)
    return out.getvalue()


def _wait(kubectl: Kubectl, namespace: str, deployment: str) -> None:
    kubectl("-n", namespace, "rollout", "status", f"deployment/{deployment}", _LIMIT, seconds=200)
