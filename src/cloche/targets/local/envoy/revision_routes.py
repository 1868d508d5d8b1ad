"""The routes of one call of a service: by weight, and by revision header.

With more than one replica of a model with state, an inference that does not say its sequence is
refused, since it could reach any of them (see `sequences`).
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cloche.clients.kserve.sequences import HEADER as SEQUENCE_HEADER
from cloche.targets.local.envoy import sequences
from cloche.targets.local.envoy.clusters import ANSWERS
from cloche.targets.local.envoy.services import ClusterName

if TYPE_CHECKING:
    from cloche.settings import Settings
    from cloche.targets.local.envoy.services import RevisionEndpoints, ServiceRoutes

Json = dict[str, Any]

SERVICE_HEADER = "cloche-service"
REVISION_HEADER = "cloche-revision"
MODEL_STATE = "cloche.model"
"""The filter state that holds the model's name from the first message (see `state_of`)."""
_LACKING_HEADER = "cloche-lacks-sequence"
_DECOUPLED_HEADER = "cloche-decoupled"
"""Pass to the gateway's own answers why a request is refused."""
_STREAM_IDLE_SECONDS = 600


def routes(
    service: ServiceRoutes,
    protocol: str,
    match: Json,
    headers: list[Json],
    settings: Settings,
    *,
    stream: bool,
) -> list[Json]:
    """Return the route by weight, then the route of each revision by its header."""
    action = _action(service, settings, stream=stream)
    return [
        {"match": match | {"headers": [*headers, chosen]}} | _to(service, protocol, shares, action)
        for chosen, shares in _choices(service)
    ]


def by_weight(
    service: ServiceRoutes,
    protocol: str,
    match: Json,
    headers: list[Json],
    settings: Settings,
    *,
    rewrite: str | None = None,
) -> list[Json]:
    """Return the route of requests without a revision header; empty if no revision has weight.

    `rewrite` replaces what is matched of the path.
    """
    action = _action(service, settings, stream=False)
    action |= {} if rewrite is None else {"prefix_rewrite": rewrite}
    return [
        {"match": match | {"headers": [*headers, chosen]}} | _to(service, protocol, shares, action)
        for chosen, shares in _weighted(service)
    ]


def lacking_sequence(service: ServiceRoutes, match: Json, headers: list[Json]) -> list[Json]:
    """Return the routes that refuse an inference which does not say its sequence and has to."""
    return [
        _refusing(match, [*headers, chosen, absent(SEQUENCE_HEADER)], _LACKING_HEADER)
        for chosen, shares in _choices(service)
        if any(revision.spread for revision in shares)
    ]


def decoupled(service: ServiceRoutes, match: Json, headers: list[Json]) -> list[Json]:
    """Return the routes that refuse single calls of models which answer with streams alone."""
    return [
        _refusing(match, [*headers, chosen], _DECOUPLED_HEADER)
        for chosen, shares in _choices(service)
        if all(revision.decoupled for revision in shares)
    ]


def _refusing(match: Json, headers: list[Json], why: str) -> Json:
    return {
        "match": match | {"headers": headers},
        "route": {"cluster": ANSWERS},
        "request_headers_to_add": [{"header": {"key": why, "value": "true"}}],
    }


_Choice = tuple[Json, list["RevisionEndpoints"]]
"""A way to choose a revision: the matcher of such requests, and those that it may be."""


def _choices(service: ServiceRoutes) -> list[_Choice]:
    by_header = [
        (equals(REVISION_HEADER, str(revision.revision)), [revision])
        for revision in service.revisions
    ]
    return [*_weighted(service), *by_header]


def _weighted(service: ServiceRoutes) -> list[_Choice]:
    weighted = [revision for revision in service.revisions if revision.weight > 0]
    return [(absent(REVISION_HEADER), weighted)] if weighted else []


def _to(
    service: ServiceRoutes,
    protocol: str,
    shares: list[RevisionEndpoints],
    action: Json,
) -> Json:
    names = [str(ClusterName(service.name, each.revision, protocol)) for each in shares]
    by_sequence, hidden = sequences.action(shares), sequences.hidden(shares)
    if len(shares) == 1:
        return {
            "route": action | by_sequence | {"cluster": names[0]},
            "response_headers_to_add": _revision_header(shares[0]),
            **hidden,
        }
    weighted = [
        {
            "name": name,
            "weight": revision.weight,
            "response_headers_to_add": _revision_header(revision),
        }
        for name, revision in zip(names, shares, strict=True)
    ]
    # Without the hash each request of a sequence would be split by chance.
    split = {"clusters": weighted} | ({"use_hash_policy": True} if by_sequence else {})
    return {"route": action | by_sequence | {"weighted_clusters": split}, **hidden}


def _action(service: ServiceRoutes, settings: Settings, *, stream: bool) -> Json:
    limit = settings.gateway_request_timeout if service.timeout is None else service.timeout
    return lasting(limit, stream=stream)


def lasting(seconds: float, *, stream: bool) -> Json:
    """Return how long an answer may take; a stream may last for ever, but not be silent."""
    if stream:
        return {"timeout": "0s", "idle_timeout": f"{_STREAM_IDLE_SECONDS}s"}
    return {"timeout": f"{seconds:g}s"}


def _revision_header(revision: RevisionEndpoints) -> list[Json]:
    # It is appended, which is cheaper than replacing: no replica sends this header itself.
    return [{"header": {"key": REVISION_HEADER, "value": str(revision.revision)}}]


@lru_cache(maxsize=4096)
def state_of(model: str) -> str:
    """Return the filter state of calls for a model: `["digits"]`, as JSON."""
    return json.dumps([model], ensure_ascii=False)


def equals(header: str, value: str) -> Json:
    """Return a matcher for a header with exactly one value."""
    return {"name": header, "string_match": {"exact": value}}


def absent(header: str) -> Json:
    """Return a matcher for requests without a header."""
    return {"name": header, "present_match": True, "invert_match": True}


def present(header: str) -> Json:
    """Return a matcher for requests with a header of any value."""
    return {"name": header, "present_match": True}
