"""Tensors as protocol bodies in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.artifacts import InferenceBody

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.artifacts import RequestOrigin
    from cloche.store import Store
    from cloche.verification.asked import Request, Tensors


def keep(
    tensors: Tensors, key: str, store: Store, parameters: Mapping[str, Any] | None = None
) -> InferenceBody:
    """Store arrays by name as the `inputs` of a request or the `outputs` of an answer (`key`)."""
    from cloche.verification.reference.scripts import exchange

    body, header_length = exchange.encode(tensors, key, parameters)
    return InferenceBody(store.add_bytes(body), header_length)


def read(body: InferenceBody, store: Store) -> Tensors:
    """Return the arrays of a stored body by name."""
    from cloche.clients.kserve.tensors import decode

    return decode(store.read(body.digest), body.header_length)


def request(body: InferenceBody, origin: RequestOrigin, store: Store) -> Request:
    """Return a stored request with its parameters, to be answered by the model directly."""
    from cloche.verification.asked import Request

    return Request(read(body, store), origin, parameters=parameters_of(body, store))


def parameters_of(body: InferenceBody, store: Store) -> dict[str, Any]:
    """Return the parameters of a stored request, without those of the protocol itself."""
    from cloche.clients.kserve.tensors import read_header

    document = read_header(store.read(body.digest), body.header_length)
    given = dict(document.get("parameters") or {})
    given.pop("binary_data_output", None)
    return given
