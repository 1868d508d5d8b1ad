"""The routes of one call of a service: by weight, and by revision header."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.targets.local.envoy.services import ClusterName

if TYPE_CHECKING:
    from cloche.settings import Settings
    from cloche.targets.local.envoy.services import RevisionEndpoints, ServiceRoutes

Json = dict[str, Any]

SERVICE_HEADER = "cloche-service"
REVISION_HEADER = "cloche-revision"
_STREAM_IDLE_SECONDS = 600
_PREVIOUS_HOSTS = (
    "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
)


RETRIES: Json = {
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": 3,
    "retry_back_off": {"base_interval": "0.02s", "max_interval": "0.2s"},
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {"@type": _PREVIOUS_HOSTS},
        }
    ],
    # A replica that has just died has no requests, so LEAST_REQUEST prefers it.
    "host_selection_retry_max_attempts": 32,
}
"""A request is retried only if no replica can have begun with it: the connection failed, the stream
was refused, or the connection was lost before the request's headers were sent."""


def routes(
    service: ServiceRoutes,
    protocol: str,
    match: Json,
    headers: list[Json],
    settings: Settings,
    *,
    stream: bool,
    rewrite: str | None = None,
) -> list[Json]:
    """Return the route by weight, then the route of each revision by its header.

    `rewrite` replaces what is matched of the path.
    """
    result = by_weight(service, protocol, match, headers, settings, stream=stream, rewrite=rewrite)
    for revision in service.revisions:
        by_header = match | {"headers": [*headers, equals(REVISION_HEADER, str(revision.revision))]}
        to = _to(service, protocol, [revision], _action(settings, stream, rewrite))
        result.append({"match": by_header} | to)
    return result


def by_weight(
    service: ServiceRoutes,
    protocol: str,
    match: Json,
    headers: list[Json],
    settings: Settings,
    *,
    stream: bool = False,
    rewrite: str | None = None,
) -> list[Json]:
    """Return the route of requests without a revision header; empty if no revision has weight."""
    weighted = [revision for revision in service.revisions if revision.weight > 0]
    if not weighted:
        return []
    without_header = match | {"headers": [*headers, absent(REVISION_HEADER)]}
    to = _to(service, protocol, weighted, _action(settings, stream, rewrite))
    return [{"match": without_header} | to]


def _to(
    service: ServiceRoutes,
    protocol: str,
    shares: list[RevisionEndpoints],
    action: Json,
) -> Json:
    names = [str(ClusterName(service.name, each.revision, protocol)) for each in shares]
    if len(shares) == 1:
        return {
            "route": action | {"cluster": names[0]},
            "response_headers_to_add": _revision_header(shares[0]),
        }
    weighted = [
        {
            "name": name,
            "weight": revision.weight,
            "response_headers_to_add": _revision_header(revision),
        }
        for name, revision in zip(names, shares, strict=True)
    ]
    return {"route": action | {"weighted_clusters": {"clusters": weighted}}}


def _action(settings: Settings, stream: bool, rewrite: str | None) -> Json:
    action: Json = {"timeout": f"{settings.gateway_request_timeout:g}s"}
    if stream:
        action = {"timeout": "0s", "idle_timeout": f"{_STREAM_IDLE_SECONDS}s"}
    return action if rewrite is None else action | {"prefix_rewrite": rewrite}


def _revision_header(revision: RevisionEndpoints) -> list[Json]:
    # It is appended, which is cheaper than replacing: no replica sends this header itself.
    return [{"header": {"key": REVISION_HEADER, "value": str(revision.revision)}}]


def equals(header: str, value: str) -> Json:
    """Return a matcher for a header with exactly one value."""
    return {"name": header, "string_match": {"exact": value}}


def absent(header: str) -> Json:
    """Return a matcher for requests without a header."""
    return {"name": header, "present_match": True, "invert_match": True}


def present(header: str) -> Json:
    """Return a matcher for requests with a header of any value."""
    return {"name": header, "present_match": True}
