"""The guide on clusters and the READMEs, as they are written, on real nodes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.cluster_users import ClusterUser, Entry
from fixtures.command_line import scaled_maximum
from fixtures.local import until

ROOT = Path(__file__).parents[3]
GUIDE = "docs/guides/cpu-cluster.md"


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def bash(user: ClusterUser, commands: str) -> str:
    """Run commands as they are written; the first that fails ends them."""
    path = f"{Path(sys.executable).parent}:{user.user.environment['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", commands], cwd=user.user.folder, timeout=300, check=False,
        env=user.user.environment | {"PATH": path},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def declared(user: ClusterUser, page: str, *more: str) -> None:
    """Write the cloche.yaml of a page, with the places of this cluster."""
    text = next(block for block in blocks(page, "yaml") if block.startswith("# cloche.yaml"))
    here = {
        "context: test": f"context: {user.cluster.context}",
        "namespace: vision": f"namespace: {user.namespace}",
        "registry.example.com/vision": f'"{user.cluster.registry}/{user.namespace}"',
        "base: cpu": f'base: "{user.base}"',
    }
    for written, found in here.items():
        assert written in text
        text = text.replace(written, found)
    (user.user.folder / "cloche.yaml").write_text(text + "".join(more))


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_commands_of_the_readmes(cluster_users: Callable[[], ClusterUser], page: str) -> None:
    ann = cluster_users()
    scaled_maximum(ann.user.folder / "model.onnx", 2)
    declared(ann, page)
    (commands,) = blocks(page, "bash")
    said = bash(ann, commands)
    assert "scores: would be created." in said
    assert "scores revision 1 is live." in said
    assert re.search(r"scores +1 +live +2/2", said)


def test_the_commands_of_the_guide(
    cluster_users: Callable[[], ClusterUser], gateway_entry: Entry
) -> None:
    ann = cluster_users()
    model = ann.user.folder / "digits.onnx"
    scaled_maximum(model, 2)
    declared(ann, GUIDE)
    first, verbs, asked, planned = blocks(GUIDE, "sh")
    said = bash(ann, first)
    assert "scores revision 1 is live." in said
    assert "curl" in said
    scaled_maximum(model, 3)
    assert "scores revision 2 is live." in bash(ann, planned)
    outside = next(block for block in blocks(GUIDE, "yaml") if "expose: gateway" in block)
    host = f"scores.{ann.namespace}.test"
    outside = outside.replace("infra/public", gateway_entry.name)
    declared(ann, GUIDE, outside.replace("scores.example.com", host))
    bash(ann, "cloche deploy --target staging")
    request = asked.strip().replace(
        "http://scores.example.com", f"-sf -H 'Host: {host}' http://{gateway_entry.address}"
    )
    until(lambda: '"name":"scores"' in bash(ann, f"{request} || true"))
    said = bash(ann, verbs)
    assert "scores revision 1 is live, rolled back from revision 2." in said
    assert "scores: 3 replicas wanted, 3 ready." in said
    assert "scores is gone." in said
