"""Answers of a registry, and the errors that they mean.

A registry says what is wrong as `{"errors": [{code, message, detail}, …]}`:
https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.errors import ClocheError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST = 300
"""Characters of a registry's own words that are shown."""
_DENIED = frozenset({"DENIED"})
_DIGEST = frozenset({"DIGEST_INVALID"})
_LOST = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "RANGE_INVALID"})


class DigestError(ClocheError):
    """The bytes are not those of their digest."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a request does in which repository: the token is for that, and errors name it."""

    name: str
    push: bool = False
    delete: bool = False
    also_pull: str | None = None
    """Another repository of the registry that is read for the request."""

    @property
    def scopes(self) -> tuple[str, ...]:
        """Return the scopes of the token (distribution.github.io/distribution/spec/auth/scope)."""
        actions = ["pull", *(["push"] if self.push else []), *(["delete"] if self.delete else [])]
        own = f"repository:{self.name}:{','.join(actions)}"
        return (own, f"repository:{self.also_pull}:pull") if self.also_pull else (own,)

    @property
    def verb(self) -> str:
        """Return what the user does there."""
        if self.delete:
            return "delete in"
        return "push to" if self.push else "read"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was read whole."""

    status: int
    headers: Mapping[str, str]
    """By case-insensitive name."""
    body: bytes
    url: str
    links: Mapping[str, str]
    """Of the header Link, by relation."""

    @property
    def codes(self) -> frozenset[str]:
        """Return the registry's own codes of errors."""
        return frozenset(str(error.get("code", "")) for error in _errors(self.body))

    @property
    def lost_session(self) -> bool:
        """Return whether an upload's session is not, or not there, where it was left."""
        return self.status in {404, 416} or bool(self.codes & _LOST)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asked for what, for the words of an error."""

    host: str
    access: Access
    known: bool
    """Whether the user has credentials for the registry."""

    @property
    def where(self) -> str:
        """Return the repository with its host."""
        return f"{self.host}/{self.access.name}"


def refusal(answer: Answer, asker: Asker) -> ClocheError:
    """Return the error that an answer means."""
    said, status, codes = _said(answer.body), answer.status, answer.codes
    if status in {401, 403} or codes & _DENIED:
        return unauthorized(asker, said) if status == 401 else forbidden(asker, said)
    if status == 413:
        return too_large(asker, said)
    if codes & _DIGEST:
        return mangled(asker, f"does not take the bytes for their digest{said}")
    if status < 500 and status != 429:
        return _unfit(answer, asker, said)
    return UnavailableError(
        "registry.refused",
        f"The registry {asker.host} answered {status}{said}.",
        where=asker.where,
        hint="Try again in a while.",
    )


def _unfit(answer: Answer, asker: Asker, said: str) -> ClocheError:
    """Return the error for a request that fits nothing there."""
    if not answer.codes and (answer.body or answer.status < 400):
        return not_registry(asker)
    if answer.status == 404:
        return unknown(asker, said)
    return ClocheError(
        "registry.refused",
        f"The registry {asker.host} answered {answer.status}{said}.",
        where=asker.where,
        hint="See the log of the registry.",
    )


def unauthorized(asker: Asker, said: str = "") -> ClocheError:
    """Return the error for a registry that does not know who asks."""
    if asker.known:
        what = f"The registry {asker.host} refuses the credentials{said}."
    else:
        what = f"The registry {asker.host} requires credentials, and none are set{said}."
    return ClocheError(
        "registry.unauthorized",
        what,
        where=asker.where,
        hint=f"Run `docker login {asker.host}`, or name the folder of a config.json that has them"
        " with DOCKER_CONFIG.",
    )


def forbidden(asker: Asker, said: str = "") -> ClocheError:
    """Return the error for a user who may not do it."""
    return ClocheError(
        "registry.forbidden",
        f"The registry {asker.host} does not let this user {asker.access.verb}"
        f" {asker.access.name}{said}.",
        where=asker.where,
        hint=f"Ask for the right to {asker.access.verb} it, or check the name.",
    )


def unknown(asker: Asker, said: str = "") -> ClocheError:
    """Return the error for what is not there."""
    return NotFoundError(
        "registry.unknown",
        f"The registry {asker.host} does not have it{said}.",
        where=asker.where,
        hint="Check the name, the tag and the digest; a private one may need `docker login`.",
    )


def too_large(asker: Asker, said: str = "") -> ClocheError:
    """Return the error for a body that is more than the registry takes."""
    return ClocheError(
        "registry.too_large",
        f"The registry {asker.host} does not take so much{said}.",
        where=asker.where,
        hint="Raise its limit: a proxy before it has one, too (nginx: client_max_body_size).",
    )


def mangled(asker: Asker, what: str) -> DigestError:
    """Return the error for bytes that are not those of their digest."""
    return DigestError(
        "registry.digest",
        f"The registry {asker.host} {what}.",
        where=asker.where,
        hint="Try again. If that fails too, the registry is damaged, or something on the way"
        " changes what passes.",
    )


def not_registry(asker: Asker) -> ClocheError:
    """Return the error for an answer that is not a registry's."""
    return ClocheError(
        "registry.not_registry",
        f"{asker.host} does not answer as a registry of images.",
        where=asker.where,
        hint="Check the host: it may be another server, a login page, or wait for TLS.",
    )


def unreachable(asker: Asker, why: str) -> ClocheError:
    """Return the error for a registry that does not answer; `why` ends a sentence."""
    return UnavailableError(
        "registry.unreachable",
        f"Cannot reach the registry {asker.host}: {why}.",
        where=asker.where,
        hint="Check the network, the proxy (HTTPS_PROXY, NO_PROXY) and the registry's name.",
    )


def untrusted(asker: Asker) -> ClocheError:
    """Return the error for a certificate that nobody trusted vouches for."""
    return ClocheError(
        "registry.certificate",
        f"The certificate of the registry {asker.host} is not trusted.",
        where=asker.where,
        hint="Set SSL_CERT_FILE to its authority's certificate.",
    )


def without_tls(asker: Asker) -> ClocheError:
    """Return the error for a registry that speaks plain HTTP, where nobody asked for that."""
    return ClocheError(
        "registry.plain_http",
        f"The registry {asker.host} does not speak TLS.",
        where=asker.where,
        hint="Plain HTTP is used where it is asked for, and on this machine's loopback.",
    )


def insecure(asker: Asker, what: str) -> ClocheError:
    """Return the error for a registry that sends its users to a server without TLS."""
    return ClocheError(
        "registry.insecure",
        f"The registry {asker.host} {what} a server without TLS.",
        where=asker.where,
        hint="Correct the address in the registry's configuration: it has to be https.",
    )


def _said(body: bytes) -> str:
    """Return the registry's own words, as the end of a sentence."""
    words = []
    for error in _errors(body):
        text = " ".join(str(error.get("message") or error.get("code") or "").split())
        if text and text not in words:
            words.append(text)
    text = "; ".join(words)[:_LONGEST].rstrip(".")
    return f": {text}" if text else ""


def _errors(body: bytes) -> list[dict[str, Any]]:
    try:
        answer = json.loads(body)
    except ValueError:
        return []
    errors = answer.get("errors") if isinstance(answer, dict) else None
    return [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []
