"""Models with state: how the requests of one sequence reach one replica.

A stream is on one replica by itself. Single requests go by the hash of the header
`cloche-sequence`: it chooses the revision, by weight, and then a replica on a ring. A new replica
takes a part of the ring from each other one, but not the sequences that are open there: Triton
refuses a request of a sequence that it does not know, before its model sees it, and the gateway
then asks the other replicas in the order of the ring. The first is the one that had that part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.clients.kserve.sequences import HEADER
from cloche.targets.local.envoy import scripts
from cloche.targets.local.envoy.retries import RETRIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloche.targets.local.envoy.services import Endpoint, RevisionEndpoints

Json = dict[str, Any]

_FILTERS = "type.googleapis.com/envoy.extensions.filters.http"
_LEAST_REQUEST = (
    "type.googleapis.com/envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest"
)
_LEAST_BUSY: Json = {
    "name": "envoy.load_balancing_policies.least_request",
    "typed_config": {"@type": _LEAST_REQUEST, "selection_method": "FULL_SCAN"},
}
"""Of all replicas the one with the fewest requests. Of two by chance it could be the same one
twice, and then a replica that answers nothing would soon hold every client."""
_PLACES = 512
"""Places of a replica on the ring: its share of the sequences differs by some percent."""
_UNKNOWN_HEADER = "cloche-unknown-sequence"
"""Marks an answer that says so; no client sees it."""
_MOST_HELD = 2**30
"""Bytes of the answer to a call that is passed on as a stream: it is held to see what it says."""


def balancing(revision: RevisionEndpoints) -> Json:
    """Return how the cluster of a revision chooses among its replicas.

    A ring of a fixed size would have fewer places of each replica when there are more, and
    sequences would move among those that stay.
    """
    if not revision.stateful:
        return {"load_balancing_policy": {"policies": [{"typed_extension_config": _LEAST_BUSY}]}}
    size = {"value": max(1, len(revision.endpoints)) * _PLACES}
    return {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": size}}


def place(revision: RevisionEndpoints, endpoint: Endpoint) -> Json:
    """Return what places a replica on the rings of both protocols: a sequence may use both."""
    if not revision.stateful:
        return {}
    key = {"hash_key": endpoint.http}
    return {"metadata": {"filter_metadata": {"envoy.lb": key}}}


def filters(revision: RevisionEndpoints) -> Json:
    """Return what makes a cluster mark the answers by which other replicas are asked."""
    if not revision.stateful or len(revision.endpoints) < 2:
        return {}
    lua = scripts.joined("unknown_sequence.lua")
    marking = {
        "@type": f"{_FILTERS}.lua.v3.Lua",
        "default_source_code": {"inline_string": lua},
    }
    sending = {"@type": f"{_FILTERS}.upstream_codec.v3.UpstreamCodec"}
    return {
        "http_filters": [
            {"name": "envoy.filters.http.lua", "typed_config": marking},
            {"name": "envoy.filters.http.upstream_codec", "typed_config": sending},
        ]
    }


def room(revision: RevisionEndpoints) -> Json:
    """Return what lets a cluster hold the answers that `filters` looks into."""
    if not revision.as_streams or not filters(revision):
        return {}
    return {"per_connection_buffer_limit_bytes": _MOST_HELD}


def action(shares: Sequence[RevisionEndpoints]) -> Json:
    """Return what the action of a route to these revisions has for their sequences."""
    if not any(revision.stateful for revision in shares):
        return {}
    by_header: Json = {"hash_policy": [{"header": {"header_name": HEADER}}]}
    if not _spread(shares):
        return by_header
    replicas = max(2, *(len(revision.endpoints) for revision in shares))
    retries = RETRIES | {
        "retry_on": f"{RETRIES['retry_on']},retriable-headers",
        "retriable_headers": [{"name": _UNKNOWN_HEADER, "present_match": True}],
        # Each once, and again if meanwhile a replica came, which makes Envoy forget whom it asked.
        "num_retries": 2 * replicas - 1,
        # It is no trouble that needs time to pass: another replica answers at once.
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.01s"},
        # The next places on the ring may be of replicas that were asked already.
        "host_selection_retry_max_attempts": 32 * replicas,
    }
    return by_header | {"retry_policy": retries}


def hidden(shares: Sequence[RevisionEndpoints]) -> Json:
    """Return what keeps the mark of `filters` from clients."""
    return {"response_headers_to_remove": [_UNKNOWN_HEADER]} if _spread(shares) else {}


def _spread(shares: Sequence[RevisionEndpoints]) -> bool:
    return any(revision.spread for revision in shares)
