"""The header that keeps the requests of a sequence together in front of several replicas.

The ID of a sequence stands in the body of a request (the parameter `sequence_id`), which a gateway
does not read. Over gRPC the header is metadata of the same name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER = "cloche-sequence"


def headers(parameters: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the header for a request with these parameters; empty if it is of no sequence."""
    sequence = (parameters or {}).get("sequence_id")
    # An ID may be any text, a header only ASCII.
    return {} if sequence is None else {HEADER: quote(str(sequence), safe="")}
