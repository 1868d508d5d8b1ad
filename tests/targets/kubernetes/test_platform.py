"""An image for another architecture than that of all nodes."""

from __future__ import annotations

import pytest

from cloche.errors import ClocheError
from cloche.targets.kubernetes import platform
from cloche.targets.kubernetes.gpus.survey import Nodes
from fixtures.gpu_nodes import node

TEMPLATE = {"spec": {"nodeSelector": {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}}}
ARM = node("arm", {"kubernetes.io/arch": "arm64"})
GROWING = node("new", {"kubernetes.io/arch": "arm64", "karpenter.sh/nodepool": "a"})


def test_no_node_runs_it() -> None:
    with pytest.raises(
        ClocheError, match="are linux/arm64, and the image is for linux/amd64"
    ) as it:
        platform.require_one(Nodes([ARM, ARM]), TEMPLATE)
    assert it.value.code == "target.kubernetes.platform"


@pytest.mark.parametrize(
    "nodes", [Nodes([ARM, node("amd", {})]), Nodes(None), Nodes([]), Nodes([ARM, GROWING])]
)
def test_one_may_run_it(nodes: Nodes) -> None:
    platform.require_one(nodes, TEMPLATE)
