"""What runs in the pods of every cluster: DNS and Envoy Gateway."""

from __future__ import annotations

import subprocess
from pathlib import Path
from string import Template

from cluster.harness import images, network
from cluster.harness.access import Kubectl
from cluster.harness.errors import HarnessError
from cluster.harness.programs import Programs

GATEWAY_CLASS = "envoy"
_GATEWAY_NAMESPACE = "envoy-gateway-system"
_LIMIT = "--timeout=180s"


def install_dns(kubectl: Kubectl, host: str, programs: Programs) -> None:
    """Run CoreDNS, and wait until it is ready."""
    image = images.push_program(host, "coredns", programs.path("coredns"))
    kubectl.apply(_manifest("coredns", coredns=image, address=network.DNS))
    _wait(kubectl, "kube-system", "coredns")


def install_gateway(kubectl: Kubectl, host: str, programs: Programs, envoy: Path) -> None:
    """Run Envoy Gateway with an Envoy of this machine; wait until its class is accepted."""
    controller = programs.path("envoy-gateway")
    kubectl.apply(programs.path("gateway-crds.yaml").read_text(encoding="utf-8"))
    kubectl.apply(f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {_GATEWAY_NAMESPACE}}}}}")
    _make_certificates(controller, kubectl)
    kubectl.apply(
        _manifest(
            "envoy-gateway",
            controller=images.push_program(host, "envoy-gateway", controller),
            envoy=images.push_program(host, "envoy", envoy),
        )
    )
    _wait(kubectl, _GATEWAY_NAMESPACE, "envoy-gateway")
    kubectl("wait", "--for=condition=Accepted", f"gatewayclass/{GATEWAY_CLASS}", _LIMIT)


def _make_certificates(controller: Path, kubectl: Kubectl) -> None:
    """Have Envoy Gateway write the certificates of its own connections into the cluster."""
    done = subprocess.run(
        [controller, "certgen", "--disable-topology-injector"], capture_output=True, text=True,
        timeout=120, check=False, stdin=subprocess.DEVNULL,
        env={"ENVOY_GATEWAY_NAMESPACE": _GATEWAY_NAMESPACE, "KUBECONFIG": str(kubectl.kubeconfig)},
    )  # fmt: skip
    if done.returncode != 0:
        raise HarnessError(f"envoy-gateway certgen failed: {done.stderr.strip()[-1000:]}")


def _manifest(name: str, **values: str) -> str:
    path = Path(__file__).parent / "manifests" / f"{name}.yaml"
    return Template(path.read_text(encoding="utf-8")).substitute(values)


def _wait(kubectl: Kubectl, namespace: str, deployment: str) -> None:
    kubectl("-n", namespace, "rollout", "status", f"deployment/{deployment}", _LIMIT, seconds=200)
