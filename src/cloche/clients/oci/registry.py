"""A registry of images: what it has, reading from it, pushing to it."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from cloche.artifacts import digest_of
from cloche.clients.oci import docker_config
from cloche.clients.oci.answers import Access, Answer, mangled, not_registry
from cloche.clients.oci.content import NamedContent, UnnamedContent
from cloche.clients.oci.download import read_blob
from cloche.clients.oci.media_types import INDEXES, MANIFESTS, OCI_INDEX
from cloche.clients.oci.patience import Patience
from cloche.clients.oci.reference import DIGEST
from cloche.clients.oci.referrers import (
    Referrer,
    fallback_tag,
    index_of,
    listed,
    referrer_of,
    subject_of,
)
from cloche.clients.oci.transport import Transport
from cloche.clients.oci.upload import Session, Upload, session_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from cloche.clients.oci.content import Content
    from cloche.clients.oci.credentials import Credentials
    from cloche.progress import Task

_MOST_PAGES = 1000
_REFUSED_MOUNT = frozenset({400, 401, 403, 404, 405})
_REFUSED_LIST = frozenset({400, 401, 403, 404, 405, 501})


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or an index as the registry has it, checked against its digest."""

    data: bytes
    media_type: str
    digest: str
    """`sha256:…`."""


class Registry:
    """A connection to one registry, by a host of `ImageReference`; safe for several threads.

    Who asks is found in Docker's config (`environment`: DOCKER_CONFIG, HOME, PATH) when the
    registry wants to know, unless `credentials` are given. Proxies and authorities are those of
    the environment (HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE). Plain HTTP is spoken with loopback
    alone, unless `plain_http` says where it is. Methods raise ClocheError `registry.…`.
    """

    def __init__(
        self,
        host: str,
        *,
        environment: Mapping[str, str],
        credentials: Credentials | None = None,
        plain_http: bool | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.host = host
        self._transport = Transport(
            host,
            environment=environment,
            credentials=lambda: credentials or docker_config.credentials_for(host, environment),
            plain_http=plain_http,
            patience=patience or Patience(),
        )
        self._sessions: dict[tuple[str, str], Session] = {}
        """Uploads that refused mounts opened, by repository and digest."""
        self._referring = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def stop(self) -> None:
        """Have what other threads do with the registry end with `registry.stopped`, for good."""
        self._transport.stop.set()

    # ── manifests ─────────────────────────────────────────────────────────────────────────────

    def manifest(
        self, name: str, reference: str, accept: Sequence[str] = (*INDEXES, *MANIFESTS)
    ) -> Manifest:
        """Return the manifest that a tag or a digest names, of one of the media types."""
        found = self._manifest(name, reference, accept, expected={200})
        if found is None:
            raise AssertionError("unreachable: only 200 is expected")
        return found

    def has_manifest(self, name: str, reference: str) -> bool:
        """Return whether a tag or a digest names a manifest."""
        return self._found(self._seen(name, reference), Access(name), reference)

    def manifest_digest(self, name: str, reference: str) -> str | None:
        """Return what a tag or a digest names now; None for nothing, or where it is not told."""
        answer = self._seen(name, reference)
        if not self._found(answer, Access(name), reference):
            return None
        named = answer.headers.get("Docker-Content-Digest", "")
        return named if DIGEST.fullmatch(named) else None

    def put_manifest(self, name: str, reference: str, data: bytes, media_type: str) -> str:
        """Store a manifest under a tag or its digest, and return the digest.

        Where the registry does not list referrers itself, one is added to their index.
        """
        access, digest = Access(name, push=True), digest_of(data)
        answer = self._transport.ask(
            "PUT", f"/v2/{name}/manifests/{reference}", access, expected={201, 202},
            headers={"Content-Type": media_type}, content=data,
        )  # fmt: skip
        stored = answer.headers.get("Docker-Content-Digest", digest)
        if stored != digest:
            raise mangled(
                self._transport.asker(access), f"stored the manifest {digest} as {stored[:80]}"
            )
        subject = subject_of(data)
        if subject is not None and "OCI-Subject" not in answer.headers:
            self._add_referrer(name, subject, referrer_of(data, digest, media_type))
        return digest

    def delete_tag(self, name: str, tag: str) -> bool:
        """Remove a tag, and not what it names; return False if the registry removes none."""
        answer = self._transport.ask(
            "DELETE", f"/v2/{name}/manifests/{tag}", Access(name, delete=True),
            expected={200, 202, 204, 400, 403, 404, 405, 501},
        )  # fmt: skip
        return answer.status in {200, 202, 204}

    def _seen(self, name: str, reference: str) -> Answer:
        return self._transport.ask(
            "HEAD", f"/v2/{name}/manifests/{reference}", Access(name), expected={200, 404},
            headers={"Accept": ", ".join((*INDEXES, *MANIFESTS))},
        )  # fmt: skip

    def _manifest(
        self, name: str, reference: str, accept: Sequence[str], expected: Collection[int]
    ) -> Manifest | None:
        access = Access(name)
        answer = self._transport.ask(
            "GET", f"/v2/{name}/manifests/{reference}", access, expected=expected,
            headers={"Accept": ", ".join(accept)},
        )  # fmt: skip
        if answer.status != 200:
            return None
        digest = digest_of(answer.body)
        named = answer.headers.get("Docker-Content-Digest", digest)
        if any(DIGEST.fullmatch(text) and text != digest for text in (named, reference)):
            raise mangled(
                self._transport.asker(access), f"sends another manifest than that of {reference}"
            )
        fields = self._object(answer, access)
        header = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        return Manifest(answer.body, str(fields.get("mediaType") or header), digest)

    # ── blobs ─────────────────────────────────────────────────────────────────────────────────

    def has_blob(self, name: str, digest: str) -> bool:
        """Return whether a repository has a blob."""
        answer = self._transport.ask(
            "HEAD", f"/v2/{name}/blobs/{digest}", Access(name), expected={200, 404}
        )
        return self._found(answer, Access(name), digest)

    def blob(
        self, name: str, digest: str, start: int = 0, *, size: int | None = None
    ) -> Iterator[bytes]:
        """Yield a blob from a byte on, resumed after breaks.

        Read from its first byte, its digest is checked at the end; read from a later one, that is
        for who has the first bytes. `size` is that of the whole blob, to stop at more.
        """
        return read_blob(self._transport, Access(name), digest, start, size)

    def mount(self, name: str, digest: str, from_name: str) -> bool:
        """Have a repository share a blob of another one; return False if it cannot."""
        access = Access(name, push=True, also_pull=from_name)
        target = f"/v2/{name}/blobs/uploads/?mount={digest}&from={from_name}"
        expected = {201, 202} | _REFUSED_MOUNT
        answer = self._transport.ask(
            "POST", target, access, expected=expected, headers={"Content-Length": "0"}
        )
        if answer.status == 202:  # the registry opens an upload instead
            self._sessions[name, digest] = session_of(self._transport, answer, access)
        return answer.status == 201

    def upload(
        self,
        name: str,
        digest: str | None,
        size: int,
        chunks: Callable[[int], Iterator[bytes]],
        progress: Task,
    ) -> str:
        """Send a blob, resumed after breaks, and return its digest; `progress` advances by bytes.

        `chunks` opens it at any byte; it is read from another byte after a break, and to its end.
        A digest that is None is computed on the way; a blob of `upload.SMALL` bytes needs one.
        """
        access = Access(name, push=True)
        content: Content = UnnamedContent(size, chunks)
        if digest is not None:
            content = NamedContent(digest, size, chunks)
        session = self._sessions.pop((name, digest or ""), None)
        Upload(self._transport, access, content, progress, session).run()
        return content.digest

    # ── lists ─────────────────────────────────────────────────────────────────────────────────

    def tags(self, name: str) -> tuple[str, ...]:
        """Return the tags of a repository, in the registry's order."""
        access = Access(name)
        tags: list[Any] = []
        for answer in self._pages(f"/v2/{name}/tags/list?n=1000", access, expected={200}):
            tags += self._object(answer, access).get("tags") or []
        return tuple(str(tag) for tag in tags)

    def is_new(self, name: str) -> bool:
        """Return whether a repository has no tag yet; False where the registry does not tell."""
        answer = self._transport.ask(
            "GET", f"/v2/{name}/tags/list?n=1", Access(name), expected={200, *_REFUSED_LIST}
        )
        if answer.status != 200:
            return answer.status == 404
        return not self._object(answer, Access(name)).get("tags")

    def referrers(
        self, name: str, digest: str, artifact_type: str | None = None
    ) -> tuple[Referrer, ...]:
        """Return what names a manifest as its subject, of one type or of all."""
        access = Access(name)
        pages = self._pages(f"/v2/{name}/referrers/{digest}", access, expected={200, 400, 404, 405})
        found: list[Referrer] = []
        for answer in pages:
            page = listed(answer.body) if answer.status == 200 else None
            if page is None:  # the registry has no such list, or another server's page answers
                found = list(self._kept_referrers(name, digest))
                break
            found += page
        return tuple(one for one in found if artifact_type in {None, one.artifact_type})

    def _kept_referrers(self, name: str, digest: str) -> tuple[Referrer, ...]:
        index = self._manifest(name, fallback_tag(digest), (OCI_INDEX,), expected={200, 404})
        return (listed(index.data) or ()) if index is not None else ()

    def _add_referrer(self, name: str, subject: str, referrer: Referrer) -> None:
        with self._referring:
            kept = self._kept_referrers(name, subject)
            others = [one for one in kept if one.digest != referrer.digest]
            index = index_of([*others, referrer])
            self.put_manifest(name, fallback_tag(subject), index, OCI_INDEX)

    def _pages(self, target: str, access: Access, expected: Collection[int]) -> Iterator[Answer]:
        """Yield the pages of a list, which `Link` joins (RFC 8288)."""
        for _ in range(_MOST_PAGES):
            answer = self._transport.ask("GET", target, access, expected=expected)
            yield answer
            following = answer.links.get("next")
            if not following:
                return
            target = self._transport.beside(answer, following, access)
        raise not_registry(self._transport.asker(access))

    # ── checks ────────────────────────────────────────────────────────────────────────────────

    def _found(self, answer: Answer, access: Access, reference: str) -> bool:
        """Return whether an answer to HEAD says that there is something; raises on another."""
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            raise not_registry(self._transport.asker(access))  # a login page has everything
        named = answer.headers.get("Docker-Content-Digest", reference)
        if answer.status == 200 and DIGEST.fullmatch(reference) and named != reference:
            raise mangled(
                self._transport.asker(access), f"has {named[:80]} in the place of {reference}"
            )
        return answer.status == 200

    def _object(self, answer: Answer, access: Access) -> dict[str, Any]:
        try:
            value = json.loads(answer.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise not_registry(self._transport.asker(access))
        return value
