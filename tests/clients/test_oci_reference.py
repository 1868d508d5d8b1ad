"""Names of images."""

from __future__ import annotations

import pytest

from cloche.clients.oci.reference import ImageReference, is_loopback, parse
from cloche.errors import UsageError

DIGEST = f"sha256:{'a1' * 32}"


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("ubuntu", ImageReference("docker.io", "library/ubuntu")),
        ("ubuntu:24.04", ImageReference("docker.io", "library/ubuntu", "24.04")),
        ("org/net", ImageReference("docker.io", "org/net")),
        ("docker.io/ubuntu", ImageReference("docker.io", "library/ubuntu")),
        ("index.docker.io/org/net:1", ImageReference("docker.io", "org/net", "1")),
        ("ghcr.io/org/net", ImageReference("ghcr.io", "org/net")),
        ("localhost/net", ImageReference("localhost", "net")),
        ("localhost:5000/a/b/c:v1", ImageReference("localhost:5000", "a/b/c", "v1")),
        ("[::1]:5000/net", ImageReference("[::1]:5000", "net")),
        ("nvcr.io/nvidia/tritonserver:26.07-py3",
         ImageReference("nvcr.io", "nvidia/tritonserver", "26.07-py3")),
        (f"ghcr.io/org/net@{DIGEST}", ImageReference("ghcr.io", "org/net", None, DIGEST)),
        (f"ghcr.io/org/net:v1@{DIGEST}", ImageReference("ghcr.io", "org/net", "v1", DIGEST)),
        ("ghcr.io/a.b_c__d--e/net", ImageReference("ghcr.io", "a.b_c__d--e/net")),
    ],
)  # fmt: skip
def test_names_that_are_read(text: str, reference: ImageReference) -> None:
    assert parse(text) == reference
    assert parse(str(reference)) == reference
    assert reference.reference == (reference.digest or reference.tag or "latest")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("A b", "letters, digits and single marks"),
        ("", "letters"),
        ("https://ghcr.io/org/net", "without https"),
        ("ghcr.io/Org/net", "org/net"),
        ("ghcr.io/org//net", "single marks"),
        ("ghcr.io/org/net:", "tag"),
        ("ghcr.io/org/net:-1", "tag"),
        ("ghcr.io/org/../net", "single marks"),
        ("ghcr.io/org/net@sha256:12", "64 digits"),
        ("ghcr.io/org/net@", "64 digits"),
        ("ghcr.io:99999/net", "host"),
        ("ghcr.io:/net", "host"),
        ("-x.io/net", "host"),
        ("ann:secret@ghcr.io/net", "64 digits"),
        ("org/net with spaces", "single marks"),
        ("a" * 256, "at most 255"),
        ("net:" + "a" * 129, "128"),
        ("ghcr.io/net:v1\n", "tag"),
    ],
)
def test_names_that_are_not(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(text)
    assert raised.value.code == "registry.reference"
    assert hint in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True), ("localhost:5000", True), ("127.0.0.1:5000", True), ("[::1]", True),
        ("127.8.9.1", True), ("a.localhost:1", True), ("ghcr.io", False), ("10.0.0.1:5000", False),
        ("127.0.0.1.example", False), ("localhost.example", False), ("[2001:db8::1]:443", False),
    ],
)  # fmt: skip
def test_this_machine(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
