"""The network of a cluster: a bridge, and a network namespace for each node.

A node's iptables, ports and pods are in its own namespace and end with it. This machine is only
given routes to pods and services, and one rule: a Docker beside us lets nothing else be forwarded.
"""

from __future__ import annotations

import ipaddress
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from cluster.harness.errors import HarnessError

BRIDGE = "cloche0"
# Neither 10.88 (podman) nor 172.17 (Docker).
MACHINE = "10.97.0.1"
NODES = "10.97.0.0/24"
PODS = "10.98.0.0/16"
SERVICES = "10.96.0.0/16"
DNS = "10.96.0.10"
_OWN_RULE = ("FORWARD", "-i", BRIDGE, "-o", BRIDGE, "-j", "ACCEPT")


@dataclass(frozen=True, slots=True)
class NodeNetwork:
    """The namespace of node number N, from 1 on."""

    number: int

    @property
    def name(self) -> str:
        return f"cloche-node-{self.number}"

    @property
    def link(self) -> str:
        """Its end at the bridge."""
        return f"{BRIDGE}-{self.number}"

    @property
    def address(self) -> str:
        return f"10.97.0.{10 + self.number}"

    @property
    def pods(self) -> str:
        return f"10.98.{self.number}.0/24"

    @property
    def inside(self) -> tuple[str, ...]:
        """The words that run a command in it.

        Not `ip netns exec`, which mounts a new /sys without the cgroups.
        """
        return ("nsenter", f"--net=/run/netns/{self.name}")

    def make(self, others: Iterable[NodeNetwork]) -> None:
        """Make it, if it is not there, with a way to the pods of other nodes."""
        if Path("/run/netns", self.name).exists():
            return
        _run("ip", "netns", "add", self.name)
        _run("ip", "link", "add", self.link, "type", "veth", "peer", "eth0", "netns", self.name)
        _run("ip", "link", "set", self.link, "master", BRIDGE, "up")
        within = ("ip", "-n", self.name)
        _run(*within, "link", "set", "lo", "up")
        _run(*within, "addr", "add", f"{self.address}/24", "dev", "eth0")
        _run(*within, "link", "set", "eth0", "up")
        _run(*within, "route", "add", "default", "via", MACHINE)
        for other in others:
            _run(*within, "route", "add", other.pods, "via", other.address)
        _run(*self.inside, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        _run("ip", "route", "replace", self.pods, "via", self.address)

    def remove(self) -> None:
        """Remove it with all in it; the link first, which would go with it, but later."""
        _remove_link(self.link)
        if Path("/run/netns", self.name).exists():
            _run("ip", "netns", "delete", self.name)

    def cut(self) -> None:
        """Take the node from the network, as by a pulled cable."""
        _run("ip", "link", "set", self.link, "down")

    def mend(self) -> None:
        """Put it back."""
        _run("ip", "link", "set", self.link, "up")


def make_bridge() -> None:
    """Make the bridge with this machine's address, if it is not there.

    Raises HarnessError where another network has these addresses.
    """
    if not Path("/sys/class/net", BRIDGE).exists():
        _check_free()
        _run("ip", "link", "add", BRIDGE, "type", "bridge")
        _run("ip", "addr", "add", f"{MACHINE}/24", "dev", BRIDGE)
        _run("ip", "link", "set", BRIDGE, "up")
    if not _succeeds("iptables", "-w", "-C", *_OWN_RULE):
        _run("iptables", "-w", "-I", *_OWN_RULE)


def route_services(node: NodeNetwork) -> None:
    """Have this machine reach services through a node."""
    _run("ip", "route", "replace", SERVICES, "via", node.address)


def remove_bridge() -> None:
    """Remove the bridge, its routes and the rule."""
    while _succeeds("iptables", "-w", "-D", *_OWN_RULE):
        pass
    _remove_link(BRIDGE)


def _check_free() -> None:
    ranges = [ipaddress.ip_network(text) for text in (NODES, PODS, SERVICES)]
    for name, addresses in psutil.net_if_addrs().items():
        for each in addresses:
            if each.family.name != "AF_INET":
                continue
            if any(ipaddress.ip_address(each.address) in taken for taken in ranges):
                raise HarnessError(f"{name} has {each.address}, which the test cluster needs")


def _remove_link(name: str) -> None:
    if Path("/sys/class/net", name).exists():
        _run("ip", "link", "delete", name)


def _succeeds(*words: str) -> bool:
    done = subprocess.run(words, capture_output=True, timeout=60, check=False)
    return done.returncode == 0


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise HarnessError(f"{' '.join(words)}: {done.stderr.strip()}")
