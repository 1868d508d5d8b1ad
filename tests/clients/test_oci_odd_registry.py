"""Registries that refuse, break, lie or are slow, over real HTTP."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cloche.clients.oci import upload
from cloche.clients.oci.credentials import Credentials
from cloche.clients.oci.media_types import OCI_MANIFEST
from cloche.clients.oci.patience import Patience
from cloche.clients.oci.registry import Registry
from cloche.errors import ClocheError, UnavailableError
from cloche.progress import SilentProgress
from fixtures.certificates import certificate
from fixtures.local import until
from fixtures.odd_registry import IDENTITY, PASSWORD, USER, OddRegistry, serve
from fixtures.registries import BRIEF, nobody, registry_at

NAME = "org/net"
LARGE = upload.SMALL + 1_000_003


@pytest.fixture
def registry(odd_registry: OddRegistry) -> Iterator[Registry]:
    with registry_at(odd_registry.host) as client:
        yield client


def send(registry: Registry, data: bytes, *, named: bool = True) -> str:
    """Push a blob, whose digest is computed on the way where it is not named, and return that."""
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"

    def chunks(start: int) -> Iterator[bytes]:
        for at in range(start, len(data), 2**20):
            yield data[at : at + 2**20]

    with SilentProgress().task("push") as task:
        assert registry.upload(NAME, digest if named else None, len(data), chunks, task) == digest
    return digest


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(ClocheError) as raised:
        action()
    for secret in (PASSWORD, IDENTITY):
        assert secret not in str(raised.value.to_dict())
    return raised.value.code


# ── tokens ────────────────────────────────────────────────────────────────────────────────────


def test_one_token_for_each_scope(odd_registry: OddRegistry, registry: Registry) -> None:
    odd_registry.private = True
    digest = send(registry, b"one")
    assert registry.has_blob(NAME, digest)
    send(registry, b"two")
    assert registry.has_blob(NAME, digest)
    assert not registry.mount("org/other", f"sha256:{'0' * 64}", NAME)
    assert odd_registry.tokens == [
        "repository:org/net:pull,push",
        "repository:org/net:pull",
        "repository:org/other:pull,push repository:org/net:pull",
    ]


def test_threads_share_a_token(odd_registry: OddRegistry, registry: Registry) -> None:
    odd_registry.private = True
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: send(registry, b"%d" % i), range(20)))
    assert len(odd_registry.blobs) == 20
    assert odd_registry.tokens == ["repository:org/net:pull,push"]


def test_a_push_after_a_pull_gets_a_token_of_its_own(
    odd_registry: OddRegistry, registry: Registry
) -> None:
    odd_registry.private = True
    assert not registry.has_blob(NAME, f"sha256:{'0' * 64}")
    odd_registry.extra_action = "delete"  # which no client can know before
    send(registry, b"one")
    assert odd_registry.tokens[1:] == [
        "repository:org/net:pull,push",
        "repository:org/net:pull,push,delete",
    ]


def test_a_token_that_is_refused_is_not_asked_for_again(
    odd_registry: OddRegistry, registry: Registry
) -> None:
    odd_registry.private = odd_registry.refuses = True
    assert code_of(lambda: registry.has_blob(NAME, f"sha256:{'0' * 64}")) == "registry.unauthorized"
    assert len(odd_registry.tokens) == 1
    assert len(odd_registry.asked) == 3


@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        (Credentials(USER, PASSWORD), None),
        (Credentials(identity_token=IDENTITY), None),
        (Credentials(USER, "wrong"), "registry.unauthorized"),
        (Credentials(identity_token="wrong"), "registry.unauthorized"),
    ],
)
def test_who_asks_for_tokens(
    odd_registry: OddRegistry,
    credentials: Credentials,
    code: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    odd_registry.private = True
    caplog.set_level(logging.DEBUG)
    with Registry(
        odd_registry.host, environment=nobody(), credentials=credentials, patience=BRIEF
    ) as registry:
        if code is None:
            assert registry.has_blob(NAME, send(registry, b"one"))
        else:
            assert code_of(lambda: send(registry, b"one")) == code
    assert PASSWORD not in caplog.text
    assert IDENTITY not in caplog.text


def test_another_host_that_keeps_the_blobs_gets_no_token(
    odd_registry: OddRegistry, registry: Registry
) -> None:
    odd_registry.private = odd_registry.elsewhere = True
    data = random.randbytes(100_000)
    digest = send(registry, data)
    odd_registry.cut_downloads += [40_000]
    assert b"".join(registry.blob(NAME, digest)) == data


# ── uploads ───────────────────────────────────────────────────────────────────────────────────


def test_a_refused_mount_is_no_error(odd_registry: OddRegistry, registry: Registry) -> None:
    odd_registry.mounts = False
    digest = odd_registry.put("org/base", b"base")
    assert not registry.mount(NAME, digest, "org/base")
    assert send(registry, b"base") == digest


def test_the_upload_of_a_mount_is_gone_on_with(
    odd_registry: OddRegistry, registry: Registry
) -> None:
    data = random.randbytes(10)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert not registry.mount(NAME, digest, "org/base")
    send(registry, data)
    assert len([one for one in odd_registry.asked if one.startswith("POST")]) == 1


@pytest.mark.parametrize("forgets", [False, True])
@pytest.mark.parametrize(("size", "named"), [(100_000, True), (LARGE, True), (LARGE, False)])
def test_cut_uploads(
    odd_registry: OddRegistry, registry: Registry, size: int, named: bool, forgets: bool
) -> None:
    odd_registry.forgets = forgets
    odd_registry.cut_uploads += [0, 50_000, 70_001]
    data = random.randbytes(size)
    digest = send(registry, data, named=named)
    assert odd_registry.blobs[digest] == data
    # A large one goes on from the byte where the connection broke.
    goes_on = size == LARGE and not forgets
    assert sum(odd_registry.sizes) == (size - 120_001 if goes_on else size)


def test_uploads_that_break_too_often(odd_registry: OddRegistry, registry: Registry) -> None:
    odd_registry.cut_uploads += [0] * 50
    with pytest.raises(UnavailableError) as raised:
        send(registry, random.randbytes(LARGE))
    assert raised.value.code == "registry.unreachable"
    assert len(odd_registry.cut_uploads) == 50 - 1 - len(BRIEF.pauses)
    assert odd_registry.uploads == {}


def test_the_answer_to_the_end_of_an_upload_is_lost(
    odd_registry: OddRegistry, registry: Registry
) -> None:
    odd_registry.lost_answers = 1
    send(registry, random.randbytes(LARGE), named=False)
    assert odd_registry.sizes == [LARGE, 0]


def test_a_registry_that_takes_small_bodies_gets_pieces(
    odd_registry: OddRegistry, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "PIECE", 1_000_000)
    odd_registry.most, odd_registry.smallest = 2_000_000, 1_500_000
    data = random.randbytes(LARGE)
    assert odd_registry.blobs[send(registry, data)] == data
    assert odd_registry.sizes == [1_500_000] * 3 + [LARGE - 4_500_000, 0]


def test_a_registry_that_takes_still_less(odd_registry: OddRegistry, registry: Registry) -> None:
    odd_registry.most = 1_000_000
    data = random.randbytes(LARGE)
    assert code_of(lambda: send(registry, data)) == "registry.too_large"
    assert code_of(lambda: send(registry, data[:2_000_000])) == "registry.too_large"
    assert odd_registry.uploads == {}


def test_a_source_that_fails_leaves_nothing_there(
    odd_registry: OddRegistry, registry: Registry
) -> None:
    def chunks(start: int) -> Iterator[bytes]:
        yield bytes(2**20)
        raise ClocheError("own.error", "The file changed.")

    with SilentProgress().task("push") as task:
        assert (
            code_of(lambda: registry.upload(NAME, f"sha256:{'0' * 64}", LARGE, chunks, task))
            == "own.error"
        )
    assert odd_registry.uploads == {}
    assert odd_registry.blobs == {}


def test_what_changes_between_two_readings_is_found(
    odd_registry: OddRegistry, registry: Registry
) -> None:
    """A blob that was hashed on its way is read again after a break, and is another one then."""
    odd_registry.cut_uploads += [3 * 2**20]
    odd_registry.forgets = True
    readings = 0

    def chunks(start: int) -> Iterator[bytes]:
        nonlocal readings
        readings += 1
        yield from [bytes([readings]) * 2**20] * (LARGE // 2**20)
        yield bytes(LARGE % 2**20)

    with SilentProgress().task("push") as task:
        refused = code_of(lambda: registry.upload(NAME, None, LARGE, chunks, task))
    assert (refused, readings) == ("registry.digest", 2)
    assert odd_registry.uploads == odd_registry.blobs == {}


@pytest.mark.parametrize("status", [400, 401, 403, 405, 501])
def test_a_repository_that_is_not_told_of_may_have_blobs(
    odd_registry: OddRegistry, registry: Registry, status: int
) -> None:
    assert registry.is_new(NAME)
    odd_registry.no_list = status
    assert not registry.is_new(NAME)


def test_what_is_under_way_can_be_stopped(odd_registry: OddRegistry) -> None:
    waiting = Patience(pauses=(3600.0,), longest=3600.0)
    with (
        Registry(odd_registry.host, environment=nobody(), patience=waiting) as registry,
        ThreadPoolExecutor() as pool,
    ):
        odd_registry.cut_uploads += [10]
        sending = pool.submit(send, registry, random.randbytes(LARGE))
        until(lambda: not odd_registry.cut_uploads)
        registry.stop()
        assert code_of(sending.result) == "registry.stopped"
        assert code_of(lambda: send(registry, b"one")) == "registry.stopped"
    assert odd_registry.uploads == {}


# ── reading ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ranges", [True, False])
def test_cut_downloads(odd_registry: OddRegistry, registry: Registry, ranges: bool) -> None:
    odd_registry.ranges = ranges
    data = random.randbytes(300_000)
    digest = odd_registry.put(NAME, data)
    odd_registry.cut_downloads += [0, 100_000, 120_000]
    assert b"".join(registry.blob(NAME, digest, 7)) == data[7:]
    odd_registry.cut_downloads += [100_000]
    assert b"".join(registry.blob(NAME, digest)) == data


def test_what_is_damaged_or_another(odd_registry: OddRegistry, registry: Registry) -> None:
    data = random.randbytes(300_000)
    digest = odd_registry.put(NAME, data)
    manifest = json.dumps({"schemaVersion": 2}).encode()
    registry.put_manifest(NAME, "v1", manifest, OCI_MANIFEST)
    for size in (299_999, 300_001):
        assert code_of(lambda size=size: list(registry.blob(NAME, digest, size=size))) == (  # type: ignore[misc]
            "registry.digest"
        )
    odd_registry.flips = True
    assert code_of(lambda: list(registry.blob(NAME, digest))) == "registry.digest"
    odd_registry.lies = True
    assert code_of(lambda: registry.manifest(NAME, "v1")) == "registry.digest"
    assert code_of(lambda: registry.put_manifest(NAME, "v1", manifest, OCI_MANIFEST)) == (
        "registry.digest"
    )
    assert code_of(lambda: send(registry, b"one")) == "registry.digest"


def test_tags_in_pages(odd_registry: OddRegistry, registry: Registry) -> None:
    odd_registry.page = 2
    for tag in "edcba":
        registry.put_manifest(NAME, tag, b"{}", OCI_MANIFEST)
    assert registry.tags(NAME) == ("a", "b", "c", "d", "e")


@pytest.mark.parametrize("lists", [True, False])
def test_referrers_with_and_without_a_list(
    odd_registry: OddRegistry, registry: Registry, lists: bool
) -> None:
    odd_registry.lists_referrers, odd_registry.page = lists, 1
    subject = registry.put_manifest(NAME, "v1", b"{}", OCI_MANIFEST)
    pushed = set()
    for kind in ("x/one", "x/two", "x/two"):
        fields = {"subject": {"digest": subject}, "artifactType": kind, "annotations": {"a": "b"}}
        data = json.dumps(fields).encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        pushed.add((registry.put_manifest(NAME, digest, data, OCI_MANIFEST), len(data), kind))
    found = registry.referrers(NAME, subject)
    assert {(one.digest, one.size, one.artifact_type) for one in found} == pushed
    assert len(found) == 2
    assert (subject.replace(":", "-") in registry.tags(NAME)) is not lists
    if not lists:
        assert found[0].annotations == {"a": "b"}


# ── troubles ──────────────────────────────────────────────────────────────────────────────────


def test_a_registry_that_is_busy_is_asked_again(
    odd_registry: OddRegistry, registry: Registry
) -> None:
    odd_registry.busy, odd_registry.broken = 2, 1
    data = random.randbytes(LARGE)
    assert odd_registry.blobs[send(registry, data)] == data
    odd_registry.broken = 2
    assert registry.has_blob(NAME, send(registry, b"one"))
    odd_registry.busy = 50
    with pytest.raises(UnavailableError) as raised:
        registry.tags(NAME)
    assert raised.value.code == "registry.refused"
    assert "429: toomanyrequests" in raised.value.what
    assert odd_registry.busy == 50 - 1 - len(BRIEF.pauses)


def test_a_server_that_is_no_registry(odd_registry: OddRegistry, registry: Registry) -> None:
    odd_registry.website = True
    digest = f"sha256:{'0' * 64}"
    for action in (
        lambda: registry.tags(NAME),
        lambda: registry.manifest(NAME, "v1"),
        lambda: registry.has_manifest(NAME, "v1"),
        lambda: registry.put_manifest(NAME, "v1", b"{}", OCI_MANIFEST),
        lambda: registry.has_blob(NAME, digest),
        lambda: registry.mount(NAME, digest, "org/base"),
        lambda: registry.referrers(NAME, digest),
        lambda: send(registry, b"one"),
    ):
        assert code_of(action) == "registry.not_registry"
    assert code_of(lambda: list(registry.blob(NAME, digest))) == "registry.digest"


def test_nothing_answers(odd_registry: OddRegistry) -> None:
    with Registry(
        "127.0.0.1:1", environment=nobody(), patience=Patience(pauses=(0.01,) * 9)
    ) as registry:
        assert code_of(lambda: registry.tags(NAME)) == "registry.unreachable"


def test_a_proxy_of_the_environment(
    odd_registry: OddRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{odd_registry.host}")
    monkeypatch.setenv("NO_PROXY", "other.example")
    with Registry("registry.example", environment=nobody(), plain_http=True) as registry:
        assert registry.tags(NAME) == ()
    assert odd_registry.asked == [f"GET http://registry.example/v2/{NAME}/tags/list?n=1000"]


def test_plain_http_where_tls_is_wanted(odd_registry: OddRegistry) -> None:
    with Registry(odd_registry.host, environment=nobody(), plain_http=False) as registry:
        assert code_of(lambda: registry.tags(NAME)) == "registry.plain_http"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_an_authority_of_ones_own(tmp_path: Path) -> None:
    made = certificate(tmp_path / "certificate", "localhost")
    trusting = {**nobody(), "SSL_CERT_FILE": str(made.authority)}
    with serve(OddRegistry(), made.context) as port:
        host = f"localhost:{port}"
        with Registry(host, environment=trusting, plain_http=False) as registry:
            assert registry.has_blob(NAME, send(registry, b"one"))
        with Registry(host, environment=nobody(), plain_http=False) as registry:
            assert code_of(lambda: registry.tags(NAME)) == "registry.certificate"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_passwords_go_nowhere_without_tls(tmp_path: Path) -> None:
    made = certificate(tmp_path / "certificate", "localhost")
    odd, trusting = OddRegistry(private=True), {"SSL_CERT_FILE": str(made.authority)}
    ann = Credentials(USER, PASSWORD)
    with (
        serve(odd, made.context) as port,
        serve(odd) as odd.port,  # its realm is without TLS
        Registry(
            f"localhost:{port}", environment=trusting, credentials=ann, plain_http=False
        ) as registry,
    ):
        assert code_of(lambda: registry.tags(NAME)) == "registry.insecure"
    assert odd.tokens == []


def test_certificates_to_trust(odd_registry: OddRegistry) -> None:
    environment = {**nobody(), "SSL_CERT_FILE": "/nonexistent"}
    assert code_of(lambda: registry_at("registry.example", environment)) == "registry.certificate"
