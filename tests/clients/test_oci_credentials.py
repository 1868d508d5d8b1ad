"""Challenges, tokens, Docker's config file and credential helpers."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from cloche.clients.oci import credential_helper
from cloche.clients.oci.authorization import token_of, token_request, with_scopes
from cloche.clients.oci.challenge import Challenge, parse
from cloche.clients.oci.credentials import Credentials
from cloche.clients.oci.docker_config import credentials_for
from cloche.clients.patience import retry_after
from cloche.errors import ClocheError, UsageError

BEARER = {"realm": "https://auth.example/token", "service": "registry.example"}


@pytest.mark.parametrize(
    ("headers", "challenges"),
    [
        ([], []),
        (['Basic realm="tests"'], [Challenge("basic", {"realm": "tests"})]),
        (["Basic"], [Challenge("basic")]),
        (
            ['Bearer realm="https://auth.example/token",service="registry.example"'],
            [Challenge("bearer", BEARER)],
        ),
        (
            ['BEARER Realm = "https://auth.example/token" , service=registry.example,scope="a b"'],
            [Challenge("bearer", {**BEARER, "scope": "a b"})],
        ),
        (
            ['Basic realm="a \\"b\\", c", Bearer realm="x"'],
            [Challenge("basic", {"realm": 'a "b", c'}), Challenge("bearer", {"realm": "x"})],
        ),
        (
            ["Negotiate", 'Bearer realm="x"'],
            [Challenge("negotiate"), Challenge("bearer", {"realm": "x"})],
        ),
        (['"what', ""], []),
    ],
)
def test_challenges(headers: list[str], challenges: list[Challenge]) -> None:
    assert parse(headers) == challenges


@pytest.mark.parametrize(
    ("scopes", "asked", "wanted"),
    [
        (("repository:a:pull",), "", ("repository:a:pull",)),
        (("repository:a:pull",), "repository:a:pull,push", ("repository:a:pull,push",)),
        (
            ("repository:a:pull,push", "repository:b:pull"),
            "repository:c/a:pull",
            ("repository:a:pull,push", "repository:b:pull", "repository:c/a:pull"),
        ),
    ],
)
def test_scopes_are_joined(scopes: tuple[str, ...], asked: str, wanted: tuple[str, ...]) -> None:
    assert with_scopes(scopes, asked) == wanted


def test_requests_for_tokens() -> None:
    challenge, scopes = Challenge("bearer", BEARER), ("repository:a:pull", "repository:b:pull")
    asked = token_request(challenge, scopes, None)
    assert asked.url == (
        "https://auth.example/token?service=registry.example"
        "&scope=repository%3Aa%3Apull&scope=repository%3Ab%3Apull"
    )
    assert (asked.headers, asked.form) == ({}, None)
    asked = token_request(challenge, scopes, Credentials("ann", "pässword"))
    pair = b64encode("ann:pässword".encode()).decode()
    assert asked.headers == {"Authorization": f"Basic {pair}"}
    assert pair not in repr(asked)
    asked = token_request(challenge, scopes, Credentials(identity_token="identity"))
    assert asked.url == "https://auth.example/token"
    assert (asked.form or {})["refresh_token"] == "identity"
    assert (asked.form or {})["scope"] == "repository:a:pull repository:b:pull"
    assert "identity" not in repr(asked)


@pytest.mark.parametrize(
    ("answer", "text", "until"),
    [
        ({"token": "t"}, "t", 1050.0),
        ({"access_token": "t", "expires_in": 300}, "t", 1290.0),
        ({"token": "t", "expires_in": 5}, "t", 1050.0),
    ],
)
def test_tokens(answer: dict[str, Any], text: str, until: float) -> None:
    token = token_of(json.dumps(answer).encode(), now=1000.0)
    assert (token.text, token.until) == (text, until)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"token": 5}', b'{"token": "a\\nb"}']
)
def test_answers_without_a_token(body: bytes) -> None:
    with pytest.raises(ValueError, match="no token"):
        token_of(body, now=0.0)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0.0), ("120", 120.0), ("", None), ("soon", None), ("-1", None),
     ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)  # fmt: skip
def test_when_to_ask_again(header: str, seconds: float | None) -> None:
    assert retry_after(header) == seconds


# ── Docker's config file ──────────────────────────────────────────────────────────────────────


def auth(text: str) -> dict[str, str]:
    return {"auth": b64encode(text.encode()).decode()}


ANN = Credentials("ann", "secret:1")


@pytest.mark.parametrize(
    ("config", "host", "found"),
    [
        ({}, "ghcr.io", None),
        ({"auths": {"ghcr.io": auth("ann:secret:1")}}, "ghcr.io", ANN),
        ({"auths": {"ghcr.io": auth("ann:secret:1")}}, "ghcr.io:5000", None),
        ({"auths": {"https://ghcr.io/v2/": auth("ann:secret:1")}}, "ghcr.io", ANN),
        ({"auths": {"https://ghcr.io": auth("b:b"), "ghcr.io": auth("ann:secret:1")}}, "ghcr.io",
         ANN),
        ({"auths": {"ghcr.io": {"username": "ann", "password": "secret:1"}}}, "ghcr.io", ANN),
        ({"auths": {"ghcr.io": {}}}, "ghcr.io", None),
        ({"auths": {"https://index.docker.io/v1/": auth("ann:secret:1")}}, "docker.io", ANN),
        ({"auths": {"ghcr.io": {**auth("ann:"), "identitytoken": "i"}}}, "ghcr.io",
         Credentials("ann", "", identity_token="i")),
        ({"auths": {"ghcr.io": {"registrytoken": "r"}}}, "ghcr.io",
         Credentials(registry_token="r")),
    ],
)  # fmt: skip
def test_what_the_file_has(
    tmp_path: Path, config: dict[str, Any], host: str, found: Credentials | None
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert credentials_for(host, {"DOCKER_CONFIG": str(tmp_path)}) == found
    assert "secret" not in repr(found)


def test_where_the_file_is(tmp_path: Path) -> None:
    assert credentials_for("ghcr.io", {"HOME": str(tmp_path)}) is None
    (tmp_path / ".docker").mkdir()
    config = {"auths": {"ghcr.io": auth("ann:secret:1")}}
    (tmp_path / ".docker/config.json").write_text(json.dumps(config))
    assert credentials_for("ghcr.io", {"HOME": str(tmp_path)}) == ANN


@pytest.mark.parametrize(
    "text",
    [
        "{secret", "[]", '{"auths": ["secret"]}', '{"auths": {"ghcr.io": "secret"}}',
        '{"auths": {"ghcr.io": {"auth": "?secret?"}}}', '{"credsStore": "../secret"}',
        '{"auths": {"ghcr.io": {"auth": "c2VjcmV0"}}}', '{"credHelpers": {"ghcr.io": 7}}',
    ],
)  # fmt: skip
def test_files_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UsageError) as raised:
        credentials_for("ghcr.io", {"DOCKER_CONFIG": str(tmp_path)})
    assert raised.value.code == "registry.docker_config"
    assert raised.value.where == str(tmp_path / "config.json")
    assert "secret" not in raised.value.what
    assert "c2VjcmV0" not in raised.value.what


# ── credential helpers ────────────────────────────────────────────────────────────────────────


@pytest.fixture
def helper(tmp_path: Path) -> Any:
    """Makes the programs docker-credential-NAME; returns the environment that has them."""

    def make(config: dict[str, Any], **scripts: str) -> dict[str, str]:
        (tmp_path / "config.json").write_text(json.dumps(config))
        for name, script in scripts.items():
            program = tmp_path / f"docker-credential-{name}"
            program.write_text(f'#!/bin/sh\nread registry\n[ "$1" = get ] || exit 9\n{script}\n')
            program.chmod(0o755)
        return {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    return make


SAYS = 'echo "{\\"ServerURL\\": \\"$registry\\", \\"Username\\": \\"%s\\", \\"Secret\\": \\"%s\\"}"'


def test_helpers_know_registries(helper: Any) -> None:
    config = {
        "credHelpers": {"ghcr.io": "one", "docker.io": "one"},
        "credsStore": "two",
        "auths": {"quay.io": auth("ann:secret:1")},
    }
    nothing = "echo 'credentials not found in native keychain'; exit 1"
    store = f"case $registry in gcr.io) {SAYS % ('<token>', '$registry')};; *) {nothing};; esac"
    environment = helper(config, one=SAYS % ("ann", "of $registry"), two=store)
    for host, found in {
        "ghcr.io": Credentials("ann", "of ghcr.io"),
        "gcr.io": Credentials(identity_token="gcr.io"),
        "quay.io": ANN,
        "nvcr.io": None,
    }.items():
        assert credentials_for(host, environment) == found


def test_docker_hub_has_its_old_name(helper: Any) -> None:
    environment = helper({"credsStore": "one"}, one=SAYS % ("ann", "of $registry"))
    found = credentials_for("docker.io", environment)
    assert found == Credentials("ann", "of https://index.docker.io/v1/")


@pytest.mark.parametrize(
    ("script", "what"),
    [
        ("echo secret; exit 3", "status 3"),
        ("echo secret", "did not print"),
        ("echo '[\"secret\"]'", "did not print"),
        ('echo \'{"Username": "secret", "Secret": 5}\'', "did not print"),
        (None, "not on the PATH"),
    ],
)
def test_helpers_that_fail(helper: Any, script: str | None, what: str) -> None:
    environment = helper({"credsStore": "one"}, **({"one": script} if script else {}))
    with pytest.raises(ClocheError) as raised:
        credentials_for("ghcr.io", environment)
    assert raised.value.code == "registry.credential_helper"
    assert what in raised.value.what
    assert "secret" not in str(raised.value.to_dict())


def test_a_helper_that_waits_is_ended(helper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credential_helper, "_SECONDS", 0.2)
    environment = helper({"credsStore": "one"}, one="exec sleep 100")
    with pytest.raises(ClocheError) as raised:
        credentials_for("ghcr.io", environment)
    assert raised.value.retriable
