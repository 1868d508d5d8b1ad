"""The fields of objects: what differs, what is no longer wanted, and how it is written."""

from __future__ import annotations

from typing import Any

import pytest

from cloche.targets.kubernetes import fields
from cloche.targets.kubernetes.fields import Difference, Tree

CONTAINERS: Tree = {
    "f:containers": {
        'k:{"name":"server"}': {
            ".": {}, "f:image": {}, "f:name": {},
            "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:name": {}}},
        }
    }
}  # fmt: skip


def server(image: str, **more: Any) -> dict[str, Any]:
    return {"containers": [{"name": "server", "image": image, **more}]}


@pytest.mark.parametrize(
    ("wanted", "current", "differ"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, [("a.b", 2, 1)]),
        ({"a": {}}, {"a": {"set": "by default"}}, []),
        ({"a": {"b": 1}}, {}, [("a.b", None, 1)]),
        ({"a": ["x"]}, {"a": ["x", "y"]}, [("a", ["x", "y"], ["x"])]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}]}, []),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, [("a[0].b", 2, 1)]),
        (server("a"), server("a", extra=True), []),
        (server("a"), {"containers": [{"name": "sidecar"}, *server("a")["containers"]]}, []),
        (server("a"), server("b"), [('containers[name="server"].image', "b", "a")]),
        (server("a", ports=[{"containerPort": 80, "name": "x"}]),
         server("a", ports=[{"containerPort": 80, "name": "y", "protocol": "TCP"}]),
         [('containers[name="server"].ports[containerPort=80,protocol="TCP"].name', "y", "x")]),
    ],
)  # fmt: skip
def test_only_what_is_wanted_counts(wanted: Any, current: Any, differ: list[Difference]) -> None:
    assert list(fields.differences(wanted, current, CONTAINERS)) == differ


@pytest.mark.parametrize(
    ("path", "one", "other", "same"),
    [
        (("resources", "limits", "cpu"), "1000m", "1", True),
        (("resources", "requests", "memory"), "1024Mi", "1Gi", True),
        (("resources", "requests", "memory"), "1Gi", "1G", False),
        (("emptyDir", "sizeLimit"), "1024Ki", "1Mi", True),
        (("resources", "limits", "cpu"), "much", "1", False),
        (("env", "value"), "1000m", "1", False),
    ],
)
def test_quantities_are_amounts(path: tuple[str, ...], one: str, other: str, same: bool) -> None:
    def at(value: Any) -> Any:
        for key in reversed(path):
            value = {key: value}
        return value

    found = list(fields.differences(at(one), at(other), {}))
    assert found == ([] if same else [(".".join(path), other, one)])


def test_what_we_set_and_no_longer_want_is_surplus() -> None:
    tree: Tree = {"f:metadata": {"f:labels": {"f:a": {}, "f:gone": {}}}, **CONTAINERS}
    labels = {"a": "1", "gone": "2", "theirs": "3"}
    current = {"metadata": {"labels": labels}, **server("x", ports=[
        {"containerPort": 80, "protocol": "TCP", "name": "y"}])}  # fmt: skip
    wanted = {"metadata": {"labels": {"a": "1"}}, **server("x", ports=[])}
    assert list(fields.surplus(tree, wanted, current)) == [
        ("metadata.labels.gone", "2", None),
        ('containers[name="server"].ports[containerPort=80,protocol="TCP"]',
         {"containerPort": 80, "protocol": "TCP", "name": "y"}, None),
    ]  # fmt: skip


def test_the_tree_is_that_of_who_applied() -> None:
    def entry(manager: str, operation: str, key: str, subresource: str = "") -> dict[str, Any]:
        return {
            "manager": manager, "operation": operation, "subresource": subresource,
            "fieldsV1": {"f:spec": {f"f:{key}": {}}},
        }  # fmt: skip

    body = {"metadata": {"managedFields": [
        entry("cloche", "Apply", "a"), entry("cloche", "Update", "replicas", "scale"),
        entry("someone", "Apply", "b"),
    ]}}  # fmt: skip
    assert fields.tree_of(body, "cloche") == {"f:spec": {"f:a": {}}}
    assert fields.tree_of(body) == {"f:spec": {"f:a": {}, "f:replicas": {}, "f:b": {}}}
