"""The bodies of requests: what they carry, and reading them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from cloche import artifacts
from cloche.artifacts import Deployment, Golden, ReplicaRange
from cloche.errors import ClocheError, UsageError
from cloche.units import size_text

if TYPE_CHECKING:
    from fastapi import Request

T = TypeVar("T")

_LARGEST_BODY = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Scale:
    """How many replicas a service should have."""

    replicas: int | ReplicaRange


@dataclass(frozen=True, slots=True)
class Verify:
    """What to verify: the server at `url`, or a replica; a revision, or the live one."""

    url: str | None = None
    revision: int | None = None
    golden: Golden | None = None
    """Another request than the revision's own, in the store of this home."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """The revision to go back to; without `to`, the one that was live before."""

    to: int | None = None
    verify: bool = True


class MalformedError(UsageError):
    """The body of a request is not JSON."""


class TooLargeError(ClocheError):
    """The body of a request is larger than any that a command sends."""


BODIES = (Deployment, Rollback, Scale, Verify)
"""The bodies of requests, for the description of the API."""


def body_of(kind: type) -> dict[str, Any]:
    """Return the OpenAPI description of a body of a kind."""
    schema = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


async def read_deployment(request: Request, name: str) -> Deployment:
    """Read a deployment, which must be for the service in the path."""
    deployment = await read_body(request, Deployment)
    if deployment.service != name:
        what = f"The deployment is for {deployment.service!r}, but the path is for {name!r}."
        raise UsageError("deployment.invalid", what)
    return deployment


async def read_body(request: Request, kind: type[T]) -> T:
    """Return the body of a request; raises an `api.…` error that names the wrong part."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > _LARGEST_BODY:
            what = f"The body is larger than {size_text(_LARGEST_BODY)}."
            raise TooLargeError("api.too_large", what)
    try:
        return artifacts.decode(kind, bytes(data) or b"{}")
    except msgspec.ValidationError as error:
        what = f"The body is not a valid {kind.__name__}: {error}."
        raise UsageError("api.invalid", what) from error
    except msgspec.DecodeError as error:
        raise MalformedError("api.malformed", f"The body is not JSON: {error}.") from error
