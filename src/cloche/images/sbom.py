"""The software bill of materials of an image, in CycloneDX 1.6 JSON.

It names what Cloche put there, and the base by its digest: what a base holds is for the base's own
bill to say. The same image has the same bill, so it has no time, and a serial number of its digest.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

from cloche.images.bases.base import BASE_DIGEST, BASE_NAME
from cloche.images.image import Attachment, SmallBlob
from cloche.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cyclonedx.model.component import Component
    from packageurl import PackageURL

    from cloche.artifacts import Deployment, Lock, Member
    from cloche.images.bases.base import Base

MEDIA_TYPE = "application/vnd.cyclonedx+json"
KIND = f"bill-{__version__}"
"""The kind under which the store remembers the bill of an image, by the image's digest."""
_SPACE = uuid.UUID("d2a5f2a0-63f0-5b3e-9a2b-7d1f6d0f5c11")
"""Of serial numbers: any fixed one."""
_RELEASE = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:==([^\s;\\]+)| @ )", re.MULTILINE | re.ASCII)


def attachment(
    deployment: Deployment, base: Base, digest: str, *, models: bool = True, server: bool = True
) -> Attachment:
    """Return the bill of an image, of its models and its server, as what is attached to it."""
    return attached(compose(deployment, base, digest, models=models, server=server))


def attached(bill: bytes) -> Attachment:
    """Return a bill as what is attached to its image."""
    return Attachment(MEDIA_TYPE, (SmallBlob(bill, MEDIA_TYPE),))


def compose(
    deployment: Deployment, base: Base, digest: str, *, models: bool = True, server: bool = True
) -> bytes:
    """Return the bill of the image of a deployment, whose manifest has this digest."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.output.json import JsonV1Dot6

    image = _component("container", deployment.service if models else "server", digest, ref=digest)
    parts = [
        *(map(_model, deployment.members) if models else ()),
        *(_of_server(deployment, base) if server else ()),
    ]
    bom = Bom(serial_number=uuid.uuid5(_SPACE, digest), components=parts)
    bom.metadata.component = image
    bom.metadata.timestamp = None  # type: ignore[assignment]
    bom.metadata.tools.components.add(_component("application", "cloche", version=__version__))
    bom.register_dependency(image, parts)
    return JsonV1Dot6(bom).output_as_string(indent=2).encode()


def _of_server(deployment: Deployment, base: Base) -> Iterator[Component]:
    name, digest = (base.annotations.get(key) for key in (BASE_NAME, BASE_DIGEST))
    yield _component("container", name or "base", digest, ref="base")
    if base.software.version:
        yield _component("application", "tritonserver", version=base.software.version)
    yield from _packages(deployment.installed_locks)


def _model(member: Member) -> Component:
    snapshot = member.snapshot
    return _component(
        "machine-learning-model",
        member.name,
        snapshot.digest,
        version=str(snapshot.version or "") or None,
        licence=snapshot.metadata.tags.get("license"),
    )


def _packages(locks: Iterable[Lock]) -> Iterator[Component]:
    """Return the packages of locks, each release once."""
    from packageurl import PackageURL

    releases = {release for lock in locks for release in _RELEASE.findall(lock.text)}
    for name, version in sorted(releases):
        url = PackageURL("pypi", None, name.lower(), version or None)
        yield _component("library", name, version=version or None, url=url, ref=str(url))


def _component(
    kind: str,
    name: str,
    digest: str | None = None,
    *,
    version: str | None = None,
    licence: str | None = None,
    url: PackageURL | None = None,
    ref: str | None = None,
) -> Component:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType

    content = (digest or "").removeprefix("sha256:")
    return Component(
        type=ComponentType(kind),
        name=name,
        version=version,
        purl=url,
        bom_ref=ref or f"{kind}:{name}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=content)] if content else None,
        licenses=[LicenseFactory().make_from_string(licence)] if licence else None,
    )
