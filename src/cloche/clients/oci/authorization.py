"""How requests to one registry are authorised: not at all, by password, by a token per scope.

A registry says it with 401, once; later requests carry the header at once. Tokens are got as in
https://distribution.github.io/distribution/spec/auth/token/ and …/auth/oauth/.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from cloche.clients.oci.challenge import Challenge, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cloche.clients.oci.answers import Access
    from cloche.clients.oci.credentials import Credentials

_CLIENT = "cloche"
_SHORTEST = 60
"""Seconds that a token lasts where the server does not say, or says less."""
_MARGIN = 10
"""Seconds before its end that a token is not used any more."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A request to a token server."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    """Sent as a form where there is one."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and until when it is used, on the monotonic clock."""

    text: str = field(repr=False)
    until: float


class Authorization:
    """Knows what authorises requests; safe for several threads."""

    def __init__(
        self,
        credentials: Callable[[], Credentials | None],
        fetch: Callable[[TokenRequest, Access], Token],
    ) -> None:
        self._find, self._fetch = credentials, fetch
        self._lock = threading.Lock()
        self._challenge: Challenge | None = None
        self._tokens: dict[tuple[str, ...], Token] = {}
        self._credentials: Credentials | None = None
        self._looked = False

    @property
    def known(self) -> bool:
        """Return whether the user turned out to have credentials."""
        return self._credentials is not None

    def header(self, access: Access) -> str | None:
        """Return the header Authorization; None before the registry has asked for any."""
        with self._lock:
            return self._header(self._challenge, access) if self._challenge else None

    def renewed(self, headers: Iterable[str], access: Access, refused: str | None) -> str | None:
        """Return the header that a challenge asks for; None if there is no other than `refused`."""
        challenges = {challenge.scheme: challenge for challenge in reversed(parse(headers))}
        with self._lock:
            challenge = challenges.get("bearer") or challenges.get("basic")
            if challenge is None:
                return None
            kept = self._tokens.get(access.scopes)
            if kept is not None and refused == f"Bearer {kept.text}":
                del self._tokens[access.scopes]
            header = self._header(challenge, access)
            challenge.parameters.pop("scope", None)  # it is that of this request alone
            self._challenge = challenge
            return None if header == refused else header

    def _header(self, challenge: Challenge, access: Access) -> str | None:
        credentials = self._look()
        if challenge.scheme == "basic":
            return credentials.basic if credentials else None
        if credentials and credentials.registry_token:
            return f"Bearer {credentials.registry_token}"
        token = self._tokens.get(access.scopes)
        if token is None or token.until < time.monotonic():
            wanted = with_scopes(access.scopes, challenge.parameters.get("scope", ""))
            token = self._fetch(token_request(challenge, wanted, credentials), access)
            self._tokens[access.scopes] = token
        return f"Bearer {token.text}"

    def _look(self) -> Credentials | None:
        if not self._looked:
            self._credentials, self._looked = self._find(), True
        return self._credentials


def with_scopes(scopes: tuple[str, ...], asked: str) -> tuple[str, ...]:
    """Return the scopes of a request and those that the registry asks for, one a repository."""
    actions: dict[str, dict[str, None]] = {}
    for scope in (*scopes, *asked.split()):
        name, _, each = scope.rpartition(":")
        actions.setdefault(name, {}).update(dict.fromkeys(each.split(",")))
    return tuple(f"{name}:{','.join(each)}" for name, each in actions.items())


def token_request(
    challenge: Challenge, scopes: tuple[str, ...], credentials: Credentials | None
) -> TokenRequest:
    """Return the request for a token; an identity token is exchanged by OAuth 2."""
    realm = challenge.parameters.get("realm", "")
    service = challenge.parameters.get("service", "")
    if credentials and credentials.identity_token:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": credentials.identity_token,
            "service": service,
            "scope": " ".join(scopes),
            "client_id": _CLIENT,
        }
        return TokenRequest(realm, form=form)
    asked = [("service", service)] if service else []
    query = urlencode([*asked, *(("scope", scope) for scope in scopes)])
    basic = credentials.basic if credentials else None
    url = f"{realm}{'&' if '?' in realm else '?'}{query}"
    return TokenRequest(url, {"Authorization": basic} if basic else {})


def token_of(body: bytes, now: float) -> Token:
    """Return the token of a token server's answer; raises ValueError, without its words."""
    try:
        answer = json.loads(body)
        text = answer.get("token") or answer.get("access_token")
        lasts = float(answer.get("expires_in") or _SHORTEST)
    except (ValueError, TypeError, AttributeError):
        text, lasts = None, 0.0
    if not isinstance(text, str) or not text.isascii() or not text.isprintable():
        raise ValueError("no token") from None
    return Token(text, now + max(lasts, _SHORTEST) - _MARGIN)
