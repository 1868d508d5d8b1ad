"""The golden request of a revision, on a machine that did not deploy it: from the registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.clients.oci import reference as references

if TYPE_CHECKING:
    from cloche.artifacts import Deployment, Golden, Revision, Verification
    from cloche.control import Verifier
    from cloche.pipeline.image import Registries
    from cloche.store import Store
    from cloche.targets import ReplicaAddress


@dataclass(frozen=True, slots=True)
class GoldenBodies:
    """The requests and answers of revisions; what the store lacks comes with their images."""

    store: Store
    connections: Registries

    def read(self, deployment: Deployment, digest: str) -> bytes:
        """Return a request or an answer of a revision."""
        self.bring(deployment)
        return self.store.read(digest)

    def bring(self, deployment: Deployment) -> None:
        """Have the store hold what a revision is asked and judged by; raises `registry.…`."""
        golden = deployment.golden
        if golden is None or deployment.image is None:
            return
        if all(self.store.use(body.digest) for body in golden.bodies()):
            return
        from cloche.images import golden as carried
        from cloche.images.sources import remote
        from cloche.pipeline import image as images

        asked = references.parse(deployment.image)
        image = images.read_image(deployment.image, None, self.connections)
        registry = self.connections.at(asked.host)
        attached = remote.attached(registry, asked.name, asked.reference, carried.ARTIFACT)
        carried.read(image, attached, self.store)


@dataclass(frozen=True, slots=True)
class BringingVerifier:
    """Implements `cloche.control.Verifier` where golden requests may have to be fetched first."""

    verifier: Verifier
    bodies: GoldenBodies

    def verify(
        self,
        revision: Revision,
        server: ReplicaAddress,
        *,
        limit: float,
        golden: Golden | None = None,
    ) -> Verification:
        if golden is None:
            self.bodies.bring(revision.deployment)
        return self.verifier.verify(revision, server, limit=limit, golden=golden)
