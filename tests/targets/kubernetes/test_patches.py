"""What a target changes in the pods that Cloche renders."""

from __future__ import annotations

from typing import Any

import pytest

from cloche.targets.kubernetes.objects.patches import merge

POD = {
    "containers": [{"name": "server", "env": [{"name": "A", "value": "1"}], "args": ["--x"]}],
    "volumes": [{"name": "tmp", "emptyDir": {}}],
    "nodeSelector": {"kubernetes.io/os": "linux"},
}
SERVER = POD["containers"][0]


@pytest.mark.parametrize(
    ("patch", "changed"),
    [
        ({}, {}),
        ({"hostNetwork": True}, {"hostNetwork": True}),
        ({"nodeSelector": {"gpu": "a"}},
         {"nodeSelector": {"kubernetes.io/os": "linux", "gpu": "a"}}),
        ({"nodeSelector": None}, {"nodeSelector": ...}),
        ({"nodeSelector": {"$patch": "replace", "gpu": "a"}}, {"nodeSelector": {"gpu": "a"}}),
        ({"containers": [{"name": "server", "env": [{"name": "B", "value": "2"}]}]},
         {"containers": [{**SERVER, "env": [*SERVER["env"], {"name": "B", "value": "2"}]}]}),
        ({"containers": [{"name": "server", "args": ["--y"]}]},
         {"containers": [{**SERVER, "args": ["--y"]}]}),
        ({"containers": [{"name": "log", "image": "x"}]},
         {"containers": [SERVER, {"name": "log", "image": "x"}]}),
        ({"volumes": [{"name": "tmp", "$patch": "delete"}]}, {"volumes": []}),
    ],
)  # fmt: skip
def test_a_patch_merges_as_kubernetes_does(patch: dict[str, Any], changed: dict[str, Any]) -> None:
    wanted = {key: value for key, value in {**POD, **changed}.items() if value is not ...}
    assert merge(POD, patch) == wanted
