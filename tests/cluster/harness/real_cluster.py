"""A whole cluster on this machine: control plane, two real nodes, DNS, registry, gateway."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from cloche import files
from cloche.progress import SilentProgress
from cluster.harness import addons, images, kernel, network, registry
from cluster.harness.access import Kubectl
from cluster.harness.control_plane import Addresses, ControlPlane
from cluster.harness.daemon import Daemon
from cluster.harness.errors import BusyError, HarnessError, MissingError
from cluster.harness.node import NEEDED, SYSTEM_PATH, Node
from cluster.harness.programs import CLUSTER, Programs, Report, own
from cluster.harness.registry import ClusterRegistry
from cluster.harness.simulated import SIMULATED
from cluster.harness.traces import FOLDER, traces
from cluster.harness.waiting import wait_until
from fixtures.cache import cache_folder

NODES = 2
_READY, _KEPT, _BEFORE = (FOLDER / name for name in ("ready", "kept", "before.json"))
_LOCK = Path("/run/cloche-test-cluster.lock")
_USERS = Path("/run/cloche-test-cluster.users")
_ADDRESSES = Addresses(network.MACHINE, 16443, 12379, 12380, network.SERVICES)
_LOCK_SECONDS = 600.0
# For aggregated APIs; the endpoints of a Service are asked, as the API server is on no node.
_AGGREGATION = (
    "--requestheader-allowed-names=front-proxy",
    "--requestheader-username-headers=X-Remote-User",
    "--requestheader-group-headers=X-Remote-Group",
    "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    "--enable-aggregator-routing=true",
)


def missing(programs: Programs | None = None) -> str | None:
    """Return what keeps a cluster from running here, and what to do about it."""
    if os.geteuid() != 0:
        return "needs root, to start nodes; or a cluster in CLOCHE_TEST_KUBECONFIG"
    absent = [name for name in NEEDED if shutil.which(name, path=SYSTEM_PATH) is None]
    if absent:
        return f"needs {', '.join(absent)} (apt install runc iproute2 iptables util-linux)"
    if unbuilt := (programs or Programs()).missing(*CLUSTER):
        return f"needs {len(unbuilt)} programs that were not built ({unbuilt[0]}, …): make cluster"
    return None


class RealCluster:
    """The cluster of this machine, whether or not it is up."""

    def __init__(self, programs: Programs | None = None) -> None:
        self.programs = programs or Programs()
        self.control = ControlPlane(FOLDER, self.programs, _ADDRESSES)
        self.registry = ClusterRegistry(FOLDER / "registry", self.programs)
        self.controllers = Daemon(FOLDER, "kube-controller-manager")
        self.scheduler = Daemon(FOLDER, "kube-scheduler")
        self.kwok = Daemon(FOLDER, "kwok")
        self.nodes = [Node(n, self.control, self.registry.hosts) for n in range(1, NODES + 1)]

    @property
    def kubeconfig(self) -> Path:
        return self.control.kubeconfig

    @property
    def kubectl(self) -> Kubectl:
        return self.control.kubectl

    @property
    def running(self) -> bool:
        """Whether all of it was started and runs."""
        return _READY.exists() and all(daemon.running for daemon in self.daemons)

    @property
    def daemons(self) -> list[Daemon]:
        nodes = [daemon for node in self.nodes for daemon in node.daemons]
        own = [self.control.etcd, self.control.api, self.controllers, self.scheduler, self.kwok]
        return [*own, *self.registry.daemons, *nodes]

    @property
    def kept(self) -> bool:
        """Whether it stays when nobody uses it."""
        return _KEPT.exists()

    def up(self, report: Report, *, keep: bool = False) -> None:
        """Start what does not run, and wait until all is ready; raises HarnessError."""
        if why := missing(self.programs):
            raise MissingError(why)
        with _alone():
            if not FOLDER.exists():
                before = traces()
                FOLDER.mkdir(mode=0o700)
                _BEFORE.write_text(json.dumps(sorted(before)))
            if keep:
                _KEPT.touch()
            self._start(report)
            _READY.touch()

    def down(self, report: Report) -> None:
        """End all of it and remove what it wrote; nothing happens where there is nothing.

        A step that fails keeps none of the others from being done. Raises HarnessError where
        something of the cluster stays.
        """
        with _alone():
            if not FOLDER.exists():
                return
            report("Ending the cluster …")
            before = set(json.loads(_BEFORE.read_text())) if _BEFORE.exists() else set()
            with ExitStack() as steps:  # from the last to the first
                steps.callback(shutil.rmtree, FOLDER, ignore_errors=True)
                steps.callback(network.remove_bridge)
                steps.callback(self.control.kill)
                for daemon in (*self.registry.daemons, self.kwok, self.controllers, self.scheduler):
                    steps.callback(daemon.kill)
                for node in self.nodes:
                    steps.callback(node.stop)
            if left := traces() - before:
                raise HarnessError("the cluster left\n" + "\n".join(sorted(left)))

    def _start(self, report: Report) -> None:
        report("Starting the control plane …")
        network.make_bridge()
        self._start_control()
        self.registry.start()
        pause = images.push_program(registry.HOST, "pause", self.programs.path(own("pause")))
        report("Starting the nodes …")
        before = kernel.settings()
        for node in self.nodes:
            node.start(pause, [other for other in self.nodes if other is not node])
        network.route_services(self.nodes[0].network)
        wait_until(
            lambda: all(node.ready for node in self.nodes), "the start of the nodes",
            daemons=self.daemons,
        )  # fmt: skip
        kernel.restore(before)
        self._install(report)

    def _start_control(self) -> None:
        control, authority = self.control, self.control.authority
        front = authority.issue("front-proxy", "/CN=front-proxy")
        control.start(
            *_AGGREGATION,
            f"--requestheader-client-ca-file={authority.certificate}",
            f"--proxy-client-cert-file={front.certificate}",
            f"--proxy-client-key-file={front.key}",
        )
        common = (f"--kubeconfig={control.kubeconfig}", "--leader-elect=false")
        self.controllers.start(
            [
                self.programs.path("kube-controller-manager"), *common, "--secure-port=0",
                f"--service-account-private-key-file={authority.signing_key().key}",
                f"--root-ca-file={authority.certificate}",
                f"--flex-volume-plugin-dir={FOLDER / 'volume-plugins'}",
                f"--cluster-signing-cert-file={authority.certificate}",
                f"--cluster-signing-key-file={authority.key}",
                "--use-service-account-credentials=true",
                # 15 s and 50 s by default: tests of scaling and of lost nodes wait for these.
                "--horizontal-pod-autoscaler-sync-period=5s",
                "--node-monitor-grace-period=20s",
            ],
            {},
        )  # fmt: skip
        self.scheduler.start([self.programs.path("kube-scheduler"), *common, "--secure-port=0"], {})
        self.kwok.start(
            [
                self.programs.path("kwok"), f"--kubeconfig={control.kubeconfig}",
                "--manage-all-nodes=false", f"--config={self.programs.path('kwok-stages.yaml')}",
                f"--manage-nodes-with-annotation-selector={SIMULATED}=true",
            ],
            {},
        )  # fmt: skip

    def _install(self, report: Report) -> None:
        from cloche.targets.local.envoy.installation import install

        report("Starting DNS …")
        addons.install_dns(self.kubectl, registry.HOST, self.programs)
        report("Starting Envoy Gateway …")
        envoy = install(cache_folder() / "servers", SilentProgress()).binary
        addons.install_gateway(self.kubectl, registry.HOST, self.programs, envoy)


def in_use() -> AbstractContextManager[int]:
    """Keep others from ending the cluster; many may use it at once."""
    busy = HarnessError("another process has been ending the cluster for too long")
    return files.locked(_USERS, shared=True, limit=_LOCK_SECONDS, busy=lambda: busy)


def out_of_use() -> AbstractContextManager[int]:
    """Keep others from using it; raises BusyError at once where somebody does."""
    return files.locked(_USERS, busy=lambda: BusyError("tests are using the cluster"))


def _alone() -> AbstractContextManager[int]:
    """Be the only one to start or end it."""
    busy = HarnessError("another process has been starting or ending the cluster for too long")
    return files.locked(_LOCK, limit=_LOCK_SECONDS, busy=lambda: busy)
