"""A mount namespace for a node: what it mounts, and what it writes in fixed places, is its own.

Kubelet and containerd know some places that no option changes (/var/lib/kubelet/device-plugins,
/var/lib/cni, /var/log/containers, /run/containerd): two nodes would share them, and leave them.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from cluster.harness.errors import HarnessError

_OWN = ("run", "var/lib", "var/log")


@dataclass(frozen=True, slots=True)
class MountNamespace:
    """A namespace that is held by a file in a folder, and by no process."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "namespace" / "mount"

    @property
    def inside(self) -> tuple[str, ...]:
        """The words that run a command in it."""
        return ("nsenter", f"--mount={self.file}")

    def make(self) -> None:
        """Make it, if it is not there, with empty folders at the places that are a node's own."""
        if _is_mounted(self.file):
            return
        holder = self.file.parent
        holder.mkdir(parents=True, exist_ok=True)
        if not _is_mounted(holder):  # the file may not stand on a mount that others get copies of
            _run("mount", "--bind", str(holder), str(holder))
        _run("mount", "--make-private", str(holder))
        self.file.touch()
        _run("unshare", f"--mount={self.file}", "--propagation", "private", "true")
        for name in _OWN:
            own = self.folder / "own" / name
            own.mkdir(parents=True, exist_ok=True)
            _run(*self.inside, "mount", "--bind", str(own), f"/{name}")
        _run(*self.inside, "mount", "--make-rshared", "/")

    def remove(self) -> None:
        """Remove it; what is mounted in it goes when its last process does."""
        for place in (self.file, self.file.parent):
            while _is_mounted(place):
                _run("umount", str(place))


def _is_mounted(place: Path) -> bool:
    """Whether something is mounted there; the device does not tell of a folder bound to itself."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return str(place) in {line.split()[1] for line in lines}


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise HarnessError(f"{' '.join(words)}: {done.stderr.strip()}")
