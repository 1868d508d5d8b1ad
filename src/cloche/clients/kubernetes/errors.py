"""Refusals of an API server, and the errors that they mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.errors import (
    BusyError,
    ClocheError,
    ConflictError,
    NotFoundError,
    StaleError,
    UnavailableError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloche.clients.kubernetes.status import Status

_RIGHT = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) (?:resource "(?P<resource>[^"]*)"'
    r'(?: in API group "(?P<group>[^"]*)")?|path "(?P<path>[^"]*)")'
    r'(?: in the namespace "(?P<namespace>[^"]*)"| at the cluster scope)?'
)
_OWNER = re.compile(r'conflict with "(?P<owner>(?:[^"\\]|\\.)*)"')
_UNKNOWN = re.compile(r'unknown field "(?P<quoted>[^"]*)"|(?P<plain>\S+): field not declared')
_NOT_TYPED = "failed to create typed patch object"
"""What server-side apply answers, with status 500, to an object that does not fit its kind."""
_NOT_YET = ("is waiting to start", "is not available", "does not have a host assigned")
"""What logs are refused with before there is a container."""
_NO_FORMER = "previous terminated container"
_TERMINATING = "NamespaceTerminating"


class MissingObjectError(NotFoundError):
    """The kind is served, and the object is not there."""


class ForbiddenError(ClocheError):
    """The user does not have the right."""


class FieldConflictError(ConflictError):
    """Others own fields of an object that is applied."""

    conflicts: tuple[tuple[str, str], ...] = ()
    """Field and owner of each."""


class QuotaError(ConflictError):
    """A quota has no room for an object now; nothing else refuses it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of which cluster, for the words of an error."""

    context: str
    what: str
    """`ConfigMap a in namespace vision`."""
    remedy: str = ""
    """What to do about refused credentials."""

    @property
    def where(self) -> str:
        """Return the context."""
        return f"context {self.context}"


# ── refusals ──────────────────────────────────────────────────────────────────────────────────


def refusal(status: Status, asked: Asked) -> ClocheError:
    """Return the error that an answer means; a retriable one is worth another attempt or not."""
    if not status.spoken and status.code < 500 and status.code not in _FROM_ANY:
        return not_kubernetes(asked)
    if status.code in {400, 413, 415, 422} or _NOT_TYPED in status.message:
        return _invalid(status, asked)
    known = _BY_CODE.get(status.code)
    return known(status, asked) if known else _refused(status, asked)


def helps_again(status: Status) -> bool:
    """Return whether the same request may succeed a little later."""
    if status.code == 409:  # the count of a quota was changed by two at the same time
        return status.reason == "Conflict" and status.kind == "resourcequotas"
    return status.code == 429 or (status.code >= 500 and _NOT_TYPED not in status.message)


def _refused(status: Status, asked: Asked) -> ClocheError:
    return UnavailableError(
        "kubernetes.refused",
        f"The cluster did not do it for {asked.what} (status {status.code}){status.said}.",
        where=asked.where,
        hint="Try again in a while; the logs of its API server say more.",
    )


def _unauthorized(_: Status, asked: Asked) -> ClocheError:
    return ClocheError(
        "kubernetes.unauthorized",
        f"The cluster does not take the credentials of context {asked.context}: they are wrong"
        " or have expired.",
        where=asked.where,
        hint=asked.remedy or None,
    )


def _missing(status: Status, asked: Asked) -> NotFoundError:
    if status.kind == "namespaces" and not asked.what.startswith("Namespace "):
        return NotFoundError(
            "kubernetes.namespace",
            f"The cluster has no namespace {status.name}.",
            where=asked.where,
            hint=f"Make it: `kubectl --context {asked.context} create namespace {status.name}`.",
        )
    if status.spoken and status.name:
        what = f"The cluster has no {asked.what}."
        return MissingObjectError("kubernetes.not_found", what, where=asked.where)
    return NotFoundError(
        "kubernetes.not_served",
        f"The cluster does not serve {asked.what}.",
        where=asked.where,
        hint="Install what brings this kind (its CRD), or use a cluster that has it.",
    )


def _expired(_: Status, asked: Asked) -> ClocheError:
    what = f"The cluster no longer knows the version of {asked.what} that was read."
    return StaleError("kubernetes.expired", what, where=asked.where, hint="List them again.")


def _forbidden(status: Status, asked: Asked) -> ClocheError:
    right = _RIGHT.search(status.message)
    if right is not None:
        return _not_allowed(right, asked)
    if any(reason == _TERMINATING for reason, _, _ in status.causes):
        return BusyError(
            "kubernetes.terminating",
            f"The namespace of {asked.what} is being deleted: nothing new can be made there.",
            where=asked.where,
            hint="Wait until it is gone and make it again, or use another one.",
        )
    if "exceeded quota" in status.message:
        return QuotaError(
            "kubernetes.quota",
            f"The quota of the namespace has no room for {asked.what}{status.said}.",
            where=asked.where,
            hint="Ask for less, or have the ResourceQuota raised.",
        )
    return _not_admitted(status, asked)


def _not_allowed(right: re.Match[str], asked: Asked) -> ClocheError:
    """Return the error for a right that the user does not have."""
    user, verb = right["user"], right["verb"]
    resource = f"{right['resource']}.{right['group']}" if right["group"] else right["resource"]
    what, place = resource or right["path"], right["namespace"]
    inside = f" in namespace {place}" if place else ""
    anonymous = user == "system:anonymous"
    flag = f" -n {place}" if place else ""
    return ForbiddenError(
        "kubernetes.forbidden",
        f"{user or 'This user'} may not {verb} {what}{inside}.",
        where=asked.where,
        hint="The user of this context has no credentials: add them to the kubeconfig."
        if anonymous
        else f"Have a Role with the verb {verb} on {what} bound to {user}, and check with"
        f" `kubectl --context {asked.context} auth can-i {verb} {what}{flag}`.",
    )


def _not_admitted(status: Status, asked: Asked) -> ClocheError:
    """Return the error for what a webhook, a policy or a limit of the cluster refuses."""
    return ClocheError(
        "kubernetes.admission",
        f"The cluster refuses {asked.what}{status.said}.",
        where=asked.where,
        hint="A policy of the cluster says so: change what it names, or ask those who keep it.",
    )


def _conflict(status: Status, asked: Asked) -> ClocheError:
    conflicts = tuple(
        (field, owner["owner"])
        for reason, field, message in status.causes
        if reason == "FieldManagerConflict" and (owner := _OWNER.search(message))
    )
    if conflicts:
        return _owned(conflicts, asked)
    if status.reason == "AlreadyExists":
        what = f"{asked.what} is there already."
        return StaleError("kubernetes.exists", what, where=asked.where)
    what = f"{asked.what} was changed by someone else at the same time."
    return StaleError("kubernetes.stale", what, where=asked.where, hint="Try again.")


def _owned(conflicts: Sequence[tuple[str, str]], asked: Asked) -> FieldConflictError:
    lines = "".join(f"\n{field} belongs to {owner}" for field, owner in conflicts)
    error = FieldConflictError(
        "kubernetes.conflict",
        f"Others set fields of {asked.what}:{lines}",
        where=asked.where,
        hint="Leave these fields to them, or take them over.",
    )
    error.conflicts = tuple(conflicts)
    return error


def _container(status: Status, asked: Asked) -> ClocheError | None:
    """Return the error for the log of a container that there is not; None for all else."""
    if any(words in status.message for words in _NOT_YET):
        what = f"{asked.what} has not started yet{status.said}."
        hint = "Try again in a while."
        return UnavailableError("kubernetes.not_started", what, where=asked.where, hint=hint)
    if _NO_FORMER in status.message:
        what = f"{asked.what} has not been started anew: nothing is left from before."
        return NotFoundError("kubernetes.no_former", what, where=asked.where)
    return None


def _invalid(status: Status, asked: Asked) -> ClocheError:
    if any(field == "metadata.uid" for _, field, _ in status.causes):
        what = f"{asked.what} is another one than was read."
        return StaleError("kubernetes.stale", what, where=asked.where, hint="Try again.")
    of_container = _container(status, asked)
    if of_container is not None:
        return of_container
    if "denied the request" in status.message or "denied request" in status.message:
        return _not_admitted(status, asked)
    unknown = [match["quoted"] or match["plain"] for match in _UNKNOWN.finditer(status.message)]
    if unknown:
        return UsageError(
            "kubernetes.unknown_field",
            f"{asked.what} has fields that this cluster does not know: {', '.join(unknown)}.",
            where=asked.where,
            hint="Correct their names, or use a cluster whose version has them.",
        )
    lines = [f"{field}: {said}" if field else said for _, field, said in status.causes]
    said = "".join(f"\n{line}" for line in dict.fromkeys(lines)) or status.said.removeprefix(":")
    immutable = "field is immutable" in status.message or "are forbidden" in status.message
    return UsageError(
        "kubernetes.invalid",
        f"The cluster does not take {asked.what}:{said}",
        where=asked.where,
        hint="These fields cannot be changed: delete the object first."
        if immutable
        else "Correct what it names.",
    )


_BY_CODE: dict[int, Callable[[Status, Asked], ClocheError]] = {
    401: _unauthorized,
    403: _forbidden,
    404: _missing,
    409: _conflict,
    410: _expired,
}
_FROM_ANY = frozenset({401, 403, 404, 429})
"""Codes that an API server, or what stands before it, also sends with no Status."""


# ── no answer ─────────────────────────────────────────────────────────────────────────────────


def not_kubernetes(asked: Asked) -> ClocheError:
    """Return the error for an answer that is not an API server's."""
    what = f"The server of context {asked.context} does not answer as Kubernetes does."
    hint = "Check `server` in the kubeconfig: it may be another server or a login page."
    return ClocheError("kubernetes.answer", what, where=asked.where, hint=hint)


def unreachable(server: str, why: str, asked: Asked) -> ClocheError:
    """Return the error for a cluster that does not answer; `why` ends a sentence."""
    what = f"Cannot reach the cluster at {server}: {why}."
    hint = "Check that it runs, the network, a VPN and the proxy (proxy-url, HTTPS_PROXY)."
    return UnavailableError("kubernetes.unreachable", what, where=asked.where, hint=hint)


def untrusted(server: str, why: str, asked: Asked) -> ClocheError:
    """Return the error for a certificate that nobody trusted vouches for."""
    return ClocheError(
        "kubernetes.untrusted",
        f"The certificate of the cluster at {server} is not trusted{why}.",
        where=asked.where,
        hint="Get the kubeconfig anew: certificate-authority-data has to be that of this cluster,"
        " tls-server-name a name in its certificate.",
    )


def stopped() -> ClocheError:
    """Return the error for work with a cluster whose connection was closed."""
    return ClocheError("kubernetes.stopped", "The work with the cluster was stopped.")
