"""Replicas as containers.

What is supervised is the engine's command in the foreground: it passes SIGTERM on to the container,
prints what that prints, and ends when it ends. Killed itself, it leaves the container, which is
then found by its name, or by the label of the home, and removed. The folder of a revision holds
`container.json` in place of a serving folder of files.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.clients.engine import options
from cloche.errors import ClocheError
from cloche.targets.local import ports, records, replica_images
from cloche.targets.local.replica_images import ReplicaImage
from cloche.targets.local.supervised import Launch

if TYPE_CHECKING:
    from collections.abc import Collection

_RECORD = "container.json"
_LIST_LIMIT = 30.0
_log = logging.getLogger(__name__)


class Containers:
    """The containers of one home."""

    def __init__(self, home: Path, images: Path) -> None:
        """Take the images that are written down in the folder `images`."""
        self._images = images
        self._home = replica_images.home_mark(home)

    def lay_out(self, service: str, repository: str, serving: Path) -> None:
        """Make the folder that the replicas of a revision share, atomically."""
        image = replica_images.existing(self._images, service, repository)
        serving.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{serving.name}-", dir=serving.parent))
        try:
            records.save(temporary / _RECORD, image)
            temporary.rename(serving)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def image(self, serving: Path) -> ReplicaImage | None:
        """Return the image of a revision's folder; None if its replicas are processes."""
        return records.load(serving / _RECORD, ReplicaImage)

    def launch(
        self,
        image: ReplicaImage,
        replica: str,
        addresses: tuple[str, ...],
        memory: int | None = None,
    ) -> Launch:
        """Return how to start a replica at ports of loopback: HTTP, gRPC, metrics.

        `memory` bounds the bytes that it may have.
        """
        published = [
            word
            for port, inside in zip(ports.of(addresses), image.ports, strict=True)
            for word in options.published(port, inside)
        ]
        argv = (
            image.program, "run", "--name", self._name(replica),
            "--label", self._label, "--label", f"cloche.replica={replica}",
            # What it prints goes to the replica's log, and nowhere else.
            "--pull", "never", "--log-driver", "none",
            *published, *options.hardened(image.shared_memory), *options.bounded(memory),
            image.id,
        )  # fmt: skip
        return Launch(argv, image.environment, addresses)

    def listens(self, image: ReplicaImage, replica: str, addresses: tuple[str, ...]) -> bool:
        """Return whether the engine leads the addresses for HTTP and gRPC to a replica."""
        name, engine = self._name(replica), image.engine
        return all(
            engine.address(name, inside) == address
            for address, inside in zip(addresses[:2], image.ports[:2], strict=True)
        )

    def remove(self, image: ReplicaImage, replica: str) -> None:
        """Remove the container of a replica; none is no error."""
        image.engine.remove(self._name(replica))

    def sweep(self, kept: Collection[str]) -> None:
        """Remove the containers of this home whose replica is not in `kept`.

        An engine that does not answer is left: what it runs is swept when it does.
        """
        names = {self._name(replica) for replica in kept}
        engines = {(each.kind, each.program, *each.environment.items()): each.engine
                   for each in replica_images.entries(self._images)}  # fmt: skip
        for engine in engines.values():
            try:
                for name in engine.containers(self._label, limit=_LIST_LIMIT):
                    if name not in names:
                        engine.remove(name)
            except ClocheError as error:
                _log.warning("Looking for left containers: %s", error.what)

    @property
    def _label(self) -> str:
        return f"cloche.home={self._home}"

    def _name(self, replica: str) -> str:
        return f"cloche-{self._home}-{replica}"
