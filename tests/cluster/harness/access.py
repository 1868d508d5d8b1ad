"""How one reaches an API server: kubeconfig files, and kubectl."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloche import files
from cluster.harness.certificates import Pair
from cluster.harness.errors import HarnessError

CONTEXT = "cloche-test"


def write_kubeconfig(path: Path, server: str, authority: Path, user: Mapping[str, Any]) -> Path:
    """Write a kubeconfig of one context, CONTEXT, that only its owner can read."""
    cluster = {"server": server, "certificate-authority-data": _encoded(authority)}
    configuration = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": CONTEXT, "user": dict(user)}],
    }
    files.write_atomically(path, json.dumps(configuration, indent=2).encode(), private=True)
    return path


def by_certificate(pair: Pair) -> dict[str, str]:
    """Return the user of a kubeconfig who has a certificate."""
    return {
        "client-certificate-data": _encoded(pair.certificate),
        "client-key-data": _encoded(pair.key),
    }


def _encoded(path: Path) -> str:
    return b64encode(path.read_bytes()).decode()


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl as the user of a kubeconfig."""

    program: Path
    kubeconfig: Path
    context: str = CONTEXT

    def __call__(self, *words: str, stdin: str = "", seconds: float = 120.0) -> str:
        """Run a command; return what it printed. Raises HarnessError where it fails."""
        done = self.run(*words, stdin=stdin, seconds=seconds)
        if done.returncode != 0:
            raise HarnessError(f"kubectl {' '.join(words)}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def succeeds(self, *words: str) -> bool:
        """Whether a command succeeds."""
        return self.run(*words).returncode == 0

    def run(
        self, *words: str, stdin: str = "", seconds: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, however it ends."""
        return subprocess.run(
            [self.program, "--kubeconfig", self.kubeconfig, "--context", self.context, *words],
            input=stdin, capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip

    def apply(self, manifest: str) -> None:
        """Apply YAML or JSON on the server's side: some kinds are too large for an annotation."""
        self("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)
