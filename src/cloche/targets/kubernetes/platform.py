"""Whether any node of a cluster is of the platform that an image is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.errors import ClocheError
from cloche.targets.kubernetes import fitting
from cloche.targets.kubernetes.gpus import survey as surveys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.targets.kubernetes.gpus.survey import Nodes

OWN = ("kubernetes.io/os", "kubernetes.io/arch")
"""The labels of nodes by which pods go to those that their image is for."""


def require(cluster: Cluster, template: Mapping[str, Any]) -> None:
    """Raise ClocheError `target.kubernetes.platform` if no node runs the image of a template.

    Where nodes may not be seen, or may be made when pods ask for them, that is not known.
    """
    require_one(surveys.read(cluster), template)


def require_one(seen: Nodes, template: Mapping[str, Any]) -> None:
    """Raise as `require` does, of the nodes that are seen."""
    wanted = template["spec"].get("nodeSelector") or {}
    ours = {key: wanted[key] for key in OWN if key in wanted}
    known = [fitting.labels_of(node) for node in seen.nodes or ()]
    if not known or seen.grow or any(ours.items() <= each.items() for each in known):
        return
    theirs = sorted({"/".join(each.get(key, "?") for key in OWN) for each in known})
    raise ClocheError(
        "target.kubernetes.platform",
        f"The nodes are {', '.join(theirs)}, and the image is for"
        f" {'/'.join(ours.get(key, '?') for key in OWN)}.",
        where="image",
        hint="Deploy from a machine of their architecture: an image is made for that of the machine"
        " that it is made on.",
    )
