"""What a cluster leaves on a machine while it is up, to see that nothing stays after it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil

from cluster.harness import kernel, network

FOLDER = Path("/var/cache/cloche-test-cluster")
"""One for a machine, as its addresses are: every checkout finds the same cluster."""
_OURS = (str(FOLDER), network.BRIDGE, "cloche-node-")
_KUBERNETES = ("KUBE-", "CNI-")
_PLACES = (
    FOLDER, Path("/var/lib/kubelet"), Path("/var/lib/cni"), Path("/var/log/containers"),
    Path("/var/log/pods"), Path("/usr/libexec/kubernetes"),
)  # fmt: skip


def traces() -> set[str]:
    """Return a line for each process, mount, link, namespace, route, rule, cgroup and folder."""
    return {
        *(f"folder {place}" for place in _PLACES if place.exists()),
        *(f"process {line}" for line in _processes()),
        *(f"mount {line}" for line in _lines("/proc/self/mounts")),
        *(f"link {path.name}" for path in _named(Path("/sys/class/net"))),
        *(f"namespace {path.name}" for path in _named(Path("/run/netns"))),
        *(f"cgroup {path}" for path in Path("/sys/fs/cgroup").glob("**/cloche-node-*")),
        *(f"route {line}" for line in _printed("ip", "route")),
        *(f"rule {line}" for line in _printed("iptables-save")),
        *(f"rule {line}" for line in _printed("ip6tables-save")),
        *(f"setting {name} = {value}" for name, value in kernel.settings().items()),
    }


def _processes() -> Iterator[str]:
    for process in psutil.process_iter(["pid", "cmdline"]):
        program, *words = process.info["cmdline"] or ("",)
        # A kubectl is somebody's who looks at the cluster.
        if str(FOLDER) in " ".join(words) and Path(program).name != "kubectl":
            yield f"{process.info['pid']} {program}"


def _named(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("*") if path.name.startswith(_OURS))


def _lines(path: str) -> Iterator[str]:
    return _filtered(Path(path).read_text())


def _printed(*words: str) -> Iterator[str]:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return _filtered(done.stdout)


def _filtered(text: str) -> Iterator[str]:
    marks = (*_OURS, *_KUBERNETES)
    return (line for line in text.splitlines() if any(mark in line for mark in marks))
