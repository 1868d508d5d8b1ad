"""Brings the pinned packages into the store, from where a later base is made without a network."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from cloche.artifacts import digest_of
from cloche.errors import ClocheError
from cloche.images.bases.debian import packages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cloche.clients.debian import Mirror
    from cloche.images.bases.debian.packages import Package
    from cloche.progress import Progress
    from cloche.store import Store


def fetch(
    wanted: Sequence[Package],
    store: Store,
    mirror: str,
    progress: Progress,
    *,
    snapshots: str | None = None,
) -> None:
    """Fetch the packages that are not in the store, from a mirror or else from the snapshots.

    `snapshots` is another address than Debian's own. Raises ClocheError `image.debian.fetch`
    (retriable).
    """
    missing = [package for package in wanted if not store.use(package.digest)]
    if not missing:
        return
    from cloche.clients.debian import SNAPSHOTS, Mirror

    total = sum(package.size for package in missing)
    with ExitStack() as stack, progress.task("Fetching Debian's packages", total) as task:
        mirrors = (Mirror(mirror), Mirror(snapshots or SNAPSHOTS, packages.snapshot()))
        for each in mirrors:
            stack.enter_context(closing(each))
        for package in missing:
            task.note(package.name)
            store.add_bytes(_fetched(package, mirrors))
            task.advance(package.size)


def opened(wanted: Iterable[Package], store: Store) -> Iterator[tuple[Package, bytes]]:
    """Yield the packages that were fetched, with their bytes."""
    for package in wanted:
        yield package, store.read(package.digest)


def _fetched(package: Package, mirrors: Iterable[Mirror]) -> bytes:
    """Return the bytes of a package from the first mirror that has them."""
    failures: list[ClocheError] = []
    for mirror in mirrors:
        try:
            data = mirror.fetch(package.path, package.size)
        except ClocheError as error:
            failures.append(error)
            continue
        if digest_of(data) == package.digest:
            return data
        failures.append(_other(mirror))
    said = " ".join(failure.what for failure in failures)
    raise ClocheError(
        "image.debian.fetch",
        f"Cannot fetch {package.name} {package.version} of Debian. {said}",
        where=failures[0].where,
        hint=failures[0].hint,
        retriable=any(failure.retriable for failure in failures),
    )


def _other(mirror: Mirror) -> ClocheError:
    return ClocheError(
        "image.debian.digest",
        "The bytes that arrived do not have the digest that is pinned.",
        where=mirror.base,
        hint="Something on the way changes them: name another mirror in images.debian_mirror"
        " (CLOCHE_IMAGES_DEBIAN_MIRROR).",
    )
