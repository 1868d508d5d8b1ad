"""etcd and the API server, as an API server alone and a whole cluster both have them."""

from __future__ import annotations

import secrets
import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cloche import files
from cluster.harness.access import Kubectl, by_certificate, write_kubeconfig
from cluster.harness.certificates import Authority
from cluster.harness.daemon import Daemon
from cluster.harness.programs import Programs
from cluster.harness.waiting import wait_until

READY_SECONDS = 120.0
ISSUER = "https://kubernetes.default.svc.cluster.local"


@dataclass(frozen=True)
class Addresses:
    """Where an API server is, and what it gives to services."""

    host: str
    port: int
    etcd: int
    """The first of two ports on loopback."""
    etcd_peer: int
    services: str = "10.96.0.0/16"

    @property
    def first_service(self) -> str:
        """The address of the Service `kubernetes`."""
        return self.services.replace(".0/16", ".1")


class ControlPlane:
    """etcd and an API server with RBAC, whose files are in one folder."""

    wrapper: tuple[str, ...] = ()
    """The words before both commands."""

    def __init__(self, folder: Path, programs: Programs, addresses: Addresses) -> None:
        self.folder = folder
        self.programs = programs
        self.addresses = addresses
        self.authority = Authority(folder / "certificates")
        self.etcd = Daemon(folder, "etcd")
        self.api = Daemon(folder, "kube-apiserver")

    @property
    def url(self) -> str:
        return f"https://{self.addresses.host}:{self.addresses.port}"

    @cached_property
    def token(self) -> str:
        """The token of the administrator."""
        return self._tokens().read_text().partition(",")[0]

    @cached_property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return write_kubeconfig(
            self.folder / "kubeconfig", self.url, self.authority.certificate, {"token": self.token}
        )

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(self.programs.path("kubectl"), self.kubeconfig)

    def kubectl_of(self, user: str, *groups: str) -> Kubectl:
        """Return kubectl as a user who has the rights that were granted, and no other."""
        return Kubectl(self.programs.path("kubectl"), self.kubeconfig_of(user, *groups))

    def kubeconfig_of(self, user: str, *groups: str) -> Path:
        """Return the kubeconfig of such a user, who is known by a certificate."""
        name = "-".join(("user", user, *groups)).replace(":", "-")
        subject = "".join(f"/O={group}" for group in groups) + f"/CN={user}"
        pair = self.authority.issue(name, subject)
        return write_kubeconfig(
            self.folder / f"{name}.kubeconfig", self.url, self.authority.certificate,
            by_certificate(pair),
        )  # fmt: skip

    def start(self, *more: str) -> None:
        """Start what does not run, and wait until it is ready; `more` are options of the server."""
        own = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        etcd, server = self.programs.path("etcd"), self.programs.path("kube-apiserver")
        self.etcd.start([*self.wrapper, etcd, *self._etcd_options()], own)
        self.api.start([*self.wrapper, server, *self._api_options(), *more], own)
        wait_until(
            lambda: self._answers("/readyz") and self._answers("/api/v1/namespaces/default"),
            "the start of the API server", seconds=READY_SECONDS, daemons=(self.etcd, self.api),
        )  # fmt: skip

    def kill(self) -> None:
        """End both at once; the API server would wait for those who watch, and for etcd."""
        self.api.kill()
        self.etcd.kill()

    def _answers(self, path: str) -> bool:
        trust = ssl.create_default_context(cafile=str(self.authority.certificate))
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(self.url + path, headers=headers)
        direct = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )
        try:
            with direct.open(request, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _tokens(self) -> Path:
        path = self.folder / "tokens.csv"
        if not path.exists():
            line = f"{secrets.token_hex(16)},admin,admin,system:masters\n"
            files.write_atomically(path, line.encode(), private=True)
        return path

    def _etcd_options(self) -> Sequence[str]:
        client = f"http://127.0.0.1:{self.addresses.etcd}"
        peer = f"http://127.0.0.1:{self.addresses.etcd_peer}"
        return (
            f"--data-dir={self.folder / 'etcd'}", "--unsafe-no-fsync", "--log-level=warn",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        )  # fmt: skip

    def _api_options(self) -> Sequence[str]:
        host, services = self.addresses.host, self.addresses.services
        names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"]
        names.append("kubernetes.default.svc.cluster.local")
        known = [f"DNS:{name}" for name in names]
        known += [
            f"IP:{it}" for it in dict.fromkeys((host, "127.0.0.1", self.addresses.first_service))
        ]
        server = self.authority.issue("server", "/CN=kube-apiserver", known)
        kubelets = self.authority.issue("kubelets", "/O=system:masters/CN=kube-apiserver")
        signing = self.authority.signing_key()
        return (
            f"--etcd-servers=http://127.0.0.1:{self.addresses.etcd}",
            f"--bind-address={host}", f"--advertise-address={host}",
            f"--secure-port={self.addresses.port}", f"--service-cluster-ip-range={services}",
            f"--tls-cert-file={server.certificate}", f"--tls-private-key-file={server.key}",
            f"--client-ca-file={self.authority.certificate}",
            f"--token-auth-file={self._tokens()}", "--authorization-mode=Node,RBAC",
            f"--kubelet-client-certificate={kubelets.certificate}",
            f"--kubelet-client-key={kubelets.key}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-key-file={signing.certificate}",
            f"--service-account-signing-key-file={signing.key}",
            f"--service-account-issuer={ISSUER}", "--allow-privileged=true",
        )  # fmt: skip
