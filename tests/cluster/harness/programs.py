"""The programs of a cluster: what each is built from, and where all are kept.

They are built by groups: `api` for an API server, `checks` for what judges objects beside it,
`nodes` for real nodes and what every cluster has, `gateway` for the one that routes, `scaling` for
what measures and scales.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cloche import files
from cluster.harness import go, pins
from cluster.harness.errors import HarnessError, MissingError
from fixtures.cache import cache_folder

Build = Callable[[Path], None]
Report = Callable[[str], None]
CLUSTER = ("api", "nodes", "gateway")
CHECKS = "checks"
GROUPS = (CHECKS, *CLUSTER, "scaling")
_LOCK_SECONDS = 3600.0
_CRDS = "charts/gateway-helm/charts/crds/crds"
_ENVOY_GATEWAY = go.Module("github.com/envoyproxy/gateway", pins.ENVOY_GATEWAY)
_KEDA = go.Module("github.com/kedacore/keda/v2", pins.KEDA)
_STAGES = ("node/fast", "node/heartbeat-with-lease", "pod/fast")
"""What KWOK's nodes and pods go through: all that they can, at once."""


def _release() -> str:
    """Return the release that `CLOCHE_TEST_KUBERNETES` names; `oldest` is the oldest supported."""
    asked = os.environ.get("CLOCHE_TEST_KUBERNETES") or pins.KUBERNETES
    return pins.OLDEST if asked == "oldest" else asked


@dataclass(frozen=True, slots=True)
class Programs:
    """Those of one release of Kubernetes, under `CLOCHE_TEST_CACHE`."""

    kubernetes: str = field(default_factory=_release)

    @property
    def folder(self) -> Path:
        return cache_folder() / "kubernetes" / self.kubernetes / "bin"

    def path(self, name: str) -> Path:
        """Return where a program stands; raises MissingError where it was not built."""
        path = self.folder / name
        if not path.exists():
            raise MissingError(f"needs {name}, which was not built: make cluster")
        return path

    def missing(self, *groups: str) -> list[str]:
        """Return the names of those that were not built."""
        return [name for name in self._builds(groups) if not (self.folder / name).exists()]

    def build(self, *groups: str, report: Report) -> None:
        """Build what is missing, a program at a time; only one process of a machine does.

        Raises MissingError without Go, HarnessError where a build fails.
        """
        if not self.missing(*groups):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with files.locked(
            self.folder.parent / "build.lock",
            limit=_LOCK_SECONDS,
            waiting=lambda: report("Another process builds the programs of the cluster; waiting …"),
            busy=lambda: HarnessError("another process has been building for an hour"),
        ):
            _sweep(self.folder)
            for count, name in enumerate(missing := self.missing(*groups), 1):
                report(f"Building {name} ({count} of {len(missing)}) …")
                began = time.monotonic()
                self._builds(groups)[name](self.folder / name)
                report(f"Building {name} took {time.monotonic() - began:.0f} s")

    def _builds(self, groups: Sequence[str]) -> dict[str, Build]:
        known = {
            "api": _api, CHECKS: _checks, "nodes": _nodes, "gateway": _gateway, "scaling": _scaling,
        }  # fmt: skip
        return {name: b for group in groups for name, b in known[group](self.kubernetes).items()}


def _sweep(folder: Path) -> None:
    """Remove what a killed build left."""
    for left in folder.glob(".*"):
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


# ── what they are built from ──────────────────────────────────────────────────────────────────


def _api(kubernetes: str) -> Mapping[str, Build]:
    etcd = go.Module("go.etcd.io/etcd/server/v3", pins.ETCD)
    return {
        "etcd": lambda target: go.build_in_own_module(etcd, "", target),
        "kube-apiserver": _of_kubernetes("kube-apiserver", kubernetes),
        "kubectl": _of_kubernetes("kubectl", kubernetes),
        "keda-crds.yaml": _gathered(_KEDA, "config/crd/bases/keda.sh_*.yaml"),
    }


def _nodes(kubernetes: str) -> Mapping[str, Build]:
    containerd = go.Module("github.com/containerd/containerd/v2", pins.CONTAINERD)
    plugins = go.Module("github.com/containernetworking/plugins", pins.CNI_PLUGINS)
    distribution = go.Module("github.com/distribution/distribution/v3", pins.DISTRIBUTION)
    kwok = go.Module("sigs.k8s.io/kwok", pins.KWOK)
    parts = ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
    engine = ("containerd", "containerd-shim-runc-v2", "ctr")
    networks = ("main/ptp", "main/loopback", "ipam/host-local", "meta/portmap")
    return {
        **{name: _of_kubernetes(name, kubernetes) for name in parts},
        **{name: _installed(containerd, f"cmd/{name}") for name in engine},
        **{name.split("/")[1]: _installed(plugins, f"plugins/{name}") for name in networks},
        "coredns": _installed(go.Module("github.com/coredns/coredns", pins.COREDNS), ""),
        "registry": _installed(distribution, "cmd/registry"),
        "kwok": _installed(kwok, "cmd/kwok"),
        "kwok-stages.yaml": _gathered(
            kwok,
            *(f"kustomize/stage/{each}/[np]o*.yaml" for each in _STAGES),
        ),
        own("pause"): _own("pause"),
        own("probe"): _own("probe"),
        own("echo"): _own("echo"),
    }


def _checks(_: str) -> Mapping[str, Build]:
    kubeconform = go.Module("github.com/yannh/kubeconform", pins.KUBECONFORM)
    operator = go.Module(
        "github.com/prometheus-operator/prometheus-operator", pins.PROMETHEUS_OPERATOR
    )
    monitors = "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"
    return {
        "kubeconform": _installed(kubeconform, "cmd/kubeconform"),
        "monitor-crds.yaml": _gathered(operator, monitors),
        **_gateway_kinds(),
        "helm": _installed(go.Module("helm.sh/helm/v3", pins.HELM), "cmd/helm"),
    }


def _gateway(_: str) -> Mapping[str, Build]:
    return {
        "envoy-gateway": lambda target: go.build_in_place(
            _ENVOY_GATEWAY, "cmd/envoy-gateway", target
        ),
        **_gateway_kinds(),
    }


def _gateway_kinds() -> Mapping[str, Build]:
    """Return Gateway API's kinds, of the release that goes with Envoy Gateway, and its own."""
    pages = f"{_CRDS}/gatewayapi-crds.yaml", f"{_CRDS}/generated/*.yaml"
    return {"gateway-crds.yaml": _gathered(_ENVOY_GATEWAY, *pages)}


def _scaling(kubernetes: str) -> Mapping[str, Build]:
    prometheus = go.Module("github.com/prometheus/prometheus", pins.PROMETHEUS)
    adapter = go.Module("sigs.k8s.io/prometheus-adapter", pins.PROMETHEUS_ADAPTER)
    return {
        "prometheus": lambda target: go.build_in_place(
            prometheus, "cmd/prometheus", target, tags="remove_all_sd,enable_kubernetes_sd"
        ),
        "prometheus-adapter": lambda target: go.build_in_place(adapter, "cmd/adapter", target),
        "keda-operator": lambda target: go.build_in_place(_KEDA, "cmd/operator", target),
        "keda-adapter": lambda target: go.build_in_place(_KEDA, "cmd/adapter", target),
        "keda.yaml": _kustomized(_KEDA, "config/minimal"),
    }


def _of_kubernetes(name: str, version: str) -> Build:
    """Say its version by the linker, or clients see v0.0.0."""
    major, minor, patch = version.split(".")
    said = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    link = " ".join(f"-X k8s.io/component-base/version.{key}={it}" for key, it in said.items())
    return lambda target: go.build_in_own_module(
        go.Module("k8s.io/kubernetes", version), f"cmd/{name}", target,
        staging=f"0.{minor}.{patch}", link=link,
    )  # fmt: skip


def _installed(module: go.Module, package: str) -> Build:
    return lambda target: go.install(module, package, target)


def own(name: str) -> str:
    """Return the file name of a program of ours, which changes with its source."""
    return f"{name}-{hashlib.sha256(_source(name).read_bytes()).hexdigest()[:8]}"


def _own(name: str) -> Build:
    return lambda target: go.build_file(_source(name), target)


def _source(name: str) -> Path:
    return Path(__file__).parent / "sources" / f"{name}.go"


def _kustomized(module: go.Module, folder: str) -> Build:
    """Write what a folder of a module describes, as kubectl puts it together."""

    def kustomize(target: Path) -> None:
        command = [target.parent / "kubectl", "kustomize", go.folder_of(module) / folder]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode != 0:
            raise HarnessError(f"kubectl kustomize failed: {done.stderr.strip()[-1000:]}")
        files.write_atomically(target, done.stdout.encode())

    return kustomize


def _gathered(module: go.Module, *patterns: str) -> Build:
    """Join files of a module, which are YAML, as one."""

    def gather(target: Path) -> None:
        folder = go.folder_of(module)
        pages = [page for pattern in patterns for page in sorted(folder.glob(pattern))]
        text = "\n---\n".join(page.read_text(encoding="utf-8") for page in pages)
        files.write_atomically(target, text.encode())

    return gather
