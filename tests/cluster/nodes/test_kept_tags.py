"""The tags of images in the registry: those of revisions that are kept, at each place its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx

from fixtures.cluster_users import ClusterUser
from fixtures.command_line import scaled_maximum
from fixtures.local import until

NAME = "few"


def tags(user: ClusterUser, registry: str, kind: str = "revision-") -> dict[str, str]:
    """Return the digests of what the tags of a kind name."""
    host, _, path = registry.partition("/")
    base = f"http://{host}/v2/{path}/{NAME}"
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    with httpx.Client(trust_env=False, headers=accept) as client:
        found = client.get(f"{base}/tags/list").json().get("tags") or ()
        return {
            tag: client.head(f"{base}/manifests/{tag}").headers["docker-content-digest"]
            for tag in found
            if tag.startswith(kind)
        }


def test_a_revision_that_is_no_longer_kept_loses_its_tag(
    cluster_users: Callable[[], ClusterUser], tmp_path: Path
) -> None:
    ann, ben = cluster_users(), cluster_users()
    other = f"{ann.namespace}-other"
    ann.cluster.kubectl("create", "namespace", other)
    try:
        registry = f"{ann.cluster.registry}/{ann.namespace}"
        ben = replace(ben, namespace=other)
        shared = {"registry": registry}
        model = tmp_path / "model.onnx"
        ben.declare(NAME, scaled_maximum(model, 1), target=shared)
        ben.deploy()
        digests: set[str] = set()
        for factor in (1, 2, 3):
            ann.declare(
                NAME, scaled_maximum(model, factor), target=shared, rollout={"keep": 1, "warm": 0}
            )
            ann.deploy()
            digests |= set(tags(ann, registry).values())
        assert len(digests) == 3
        left = tags(ann, registry)
        gone = digests - set(left.values())
        assert len(left) == 2, "that of revision 3, and that of the other place"
        history = ann.run("history", NAME, "--json").expect(0).json
        assert 3 in history["restorable"]
        # Until the registry collects it, what has no tag comes back, and then has one again.
        ann.run("rollback", NAME, "--to", "2").expect(0)
        assert set(tags(ann, registry).values()) & gone == gone
        # The other place has the image of revision 1, and nothing was taken from it.
        ben.kubectl("delete", "pods", "--all", "--wait=true")
        until(lambda: len(ben.ready_pods(NAME, 1)) == 1, 60, every=0.5)
        ben.run("verify", NAME).expect(0)
        assert ben.run("history", NAME, "--json").expect(0).json["restorable"] == [1]
        # A delete takes the tags of its own place, and the last one the documents, too.
        of_ben = tags(ben, registry)
        ann.run("delete", NAME, "--yes").expect(0)
        left = tags(ann, registry)
        assert len(left) == 1
        assert left.items() <= of_ben.items()
        ben.run("verify", NAME).expect(0)
        documents = tags(ben, registry, "deployment-")
        ben.run("delete", NAME, "--yes").expect(0)
        assert tags(ben, registry) == {}
        assert len(tags(ben, registry, "deployment-")) < len(documents)
    finally:
        ann.cluster.kubectl("delete", "namespace", other, "--timeout=120s", seconds=150)
