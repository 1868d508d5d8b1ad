"""A real node: containerd, kubelet and kube-proxy in namespaces of their own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cluster.harness import cgroups, network, processes
from cluster.harness.control_plane import ControlPlane
from cluster.harness.daemon import Daemon
from cluster.harness.mounts import MountNamespace
from cluster.harness.network import NodeNetwork
from cluster.harness.waiting import wait_until

NEEDED = ("runc", "ip", "iptables", "nsenter", "mount", "unshare")
"""Programs of the machine, all of them Debian's runc, iproute2, iptables, util-linux and mount."""
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
READY_SECONDS = 120.0


class Node:
    """Node number N of a cluster, from 1 on."""

    def __init__(self, number: int, control: ControlPlane, registries: Path) -> None:
        self.number = number
        self.name = f"node-{number}"
        self.network = NodeNetwork(number)
        self.folder = control.folder / self.name
        self.mounts = MountNamespace(self.folder)
        self.containerd = Daemon(self.folder, "containerd")
        self.kubelet = Daemon(self.folder, "kubelet")
        self.proxy = Daemon(self.folder, "kube-proxy")
        self._control = control
        self._registries = registries

    @property
    def socket(self) -> Path:
        """That of containerd."""
        return self.folder / "containerd.sock"

    @property
    def daemons(self) -> tuple[Daemon, ...]:
        return (self.containerd, self.kubelet, self.proxy)

    @property
    def ready(self) -> bool:
        said = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        done = self._control.kubectl.run("get", "node", self.name, "-o", said)
        return done.returncode == 0 and done.stdout == "True"

    def start(self, pause: str, others: Iterable[Node]) -> None:
        """Start what of it does not run; `pause` is the image that holds a pod's namespaces."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.network.make(other.network for other in others)
        self.mounts.make()
        cgroups.make(self.network.name)
        self._run(self.containerd, "containerd", "--config", self._containerd_file(pause))
        wait_until(self.socket.exists, "the start of containerd", daemons=(self.containerd,))
        kubeconfig = f"--kubeconfig={self._control.kubeconfig}"
        self._run(
            self.kubelet, "kubelet", kubeconfig, f"--config={self._kubelet_file()}",
            f"--root-dir={self.folder / 'kubelet'}", f"--cert-dir={self.folder / 'pki'}",
            f"--hostname-override={self.name}", f"--node-ip={self.network.address}",
        )  # fmt: skip
        self._run(self.proxy, "kube-proxy", f"--config={self._proxy_file()}")

    def wait(self) -> None:
        """Wait until it is Ready."""
        wait_until(lambda: self.ready, f"{self.name}", seconds=READY_SECONDS, daemons=self.daemons)

    def stop(self) -> None:
        """End it at once with all that runs on it, and remove what it made on this machine."""
        for daemon in self.daemons:
            daemon.kill()
        processes.kill(cgroups.processes(self.network.name) | processes.naming(self.socket))
        self.mounts.remove()
        cgroups.remove(self.network.name)
        self.network.remove()
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def _run(self, daemon: Daemon, name: str, *options: str | Path) -> None:
        program = self._control.programs.path(name)
        # Ours come first: Debian's Docker brings an older containerd and its shim.
        path = f"{program.parent}:{SYSTEM_PATH}"
        daemon.start([*self.network.inside, *self.mounts.inside, program, *options], {"PATH": path})

    def _containerd_file(self, pause: str) -> Path:
        folder = self.folder
        networks = folder / "networks"
        networks.mkdir(exist_ok=True)
        # Not a bridge: every packet between pods is routed, so services and policies see it.
        address = {"ranges": [[{"subnet": self.network.pods}]], "routes": [{"dst": "0.0.0.0/0"}]}
        plugins: list[dict[str, Any]] = [
            {"type": "ptp", "ipam": {"type": "host-local", "dataDir": f"{folder}/ipam", **address}},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ]
        pods = {"cniVersion": "1.0.0", "name": "pods", "plugins": plugins}
        (networks / "10-pods.conflist").write_text(json.dumps(pods))
        path = folder / "containerd.toml"
        path.write_text(
            _CONTAINERD.format(
                folder=folder,
                socket=self.socket,
                pause=pause,
                networks=networks,
                registries=self._registries,
                programs=self._control.programs.folder,
            )
        )
        return path

    def _kubelet_file(self) -> Path:
        authority = str(self._control.authority.certificate)
        return self._write("KubeletConfiguration", "kubelet.config.k8s.io/v1beta1", {
            "failCgroupV1": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.network.name}",
            "enforceNodeAllocatable": [],
            "address": self.network.address,
            "healthzBindAddress": "127.0.0.1",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": authority},
            },
            "authorization": {"mode": "Webhook"},
            "clusterDNS": [network.DNS],
            "clusterDomain": "cluster.local",
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "evictionHard": {
                "memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%",
            },
            "failSwapOn": False,
            "imageGCHighThresholdPercent": 100,
            "podLogsDir": str(self.folder / "pod-logs"),
            "resolvConf": "",  # of this machine, whose network pods do not reach
            "volumePluginDir": str(self.folder / "volume-plugins"),
        })  # fmt: skip

    def _proxy_file(self) -> Path:
        return self._write("KubeProxyConfiguration", "kubeproxy.config.k8s.io/v1alpha1", {
            "mode": "iptables",
            "hostnameOverride": self.name,
            "clusterCIDR": network.PODS,
            "healthzBindAddress": "127.0.0.1",
            "metricsBindAddress": "127.0.0.1",
            "clientConnection": {"kubeconfig": str(self._control.kubeconfig)},
            "conntrack": {"maxPerCore": 0, "min": 0},
        })  # fmt: skip

    def _write(self, kind: str, version: str, fields: dict[str, Any]) -> Path:
        path = self.folder / f"{kind}.json"
        text = json.dumps({"apiVersion": version, "kind": kind, **fields}, indent=2)
        if not path.exists() or path.read_text() != text:  # kube-proxy ends when it is written
            path.write_text(text)
        return path


_CONTAINERD = """\
version = 3
root = "{folder}/root"
state = "{folder}/state"
[grpc]
  address = "{socket}"
[plugins.'io.containerd.internal.v1.opt']
  path = "{folder}/opt"
[plugins.'io.containerd.nri.v1.nri']
  disable = true
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{pause}"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "{registries}"
[plugins.'io.containerd.cri.v1.runtime']
  # Without CAP_SYS_RESOURCE runc dies otherwise: can't get final child's PID from pipe.
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["{programs}"]
  conf_dir = "{networks}"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = false
"""
