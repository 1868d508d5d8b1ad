"""Which requests are sent again, to another replica."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

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
