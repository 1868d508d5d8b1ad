"""HTTP to a control plane: errors in answers, and answers that do not come."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import msgspec

from cloche.errors import ClocheError, UnavailableError, from_dict

if TYPE_CHECKING:
    from collections.abc import Iterator


def error_of(answer: httpx.Response) -> ClocheError:
    """Return the error in an answer, or `control.answer` if it has none."""
    try:
        return from_dict(msgspec.json.decode(answer.content)["error"])
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return unreadable(f"status {answer.status_code}")


def unreadable(detail: str) -> ClocheError:
    """Return the error for an answer that is not one of this API."""
    what = f"The control plane's answer cannot be read: {detail}."
    hint = "End it and run the command again, so that both are of the same version."
    return ClocheError("control.answer", what, hint=hint)


@contextmanager
def reaching(http: httpx.Client) -> Iterator[None]:
    """Translate the errors of httpx: `control.timeout`, `control.unreachable`."""
    try:
        yield
    except httpx.TimeoutException as error:
        what = "The control plane did not answer in time."
        hint = "logs/control.log in CLOCHE_HOME shows what it does; try again."
        raise UnavailableError("control.timeout", what, hint=hint) from error
    except httpx.HTTPError as error:
        what = f"The control plane cannot be reached: {error}."
        hint = "Run the command again: it starts one. Services go on meanwhile."
        where = str(http.base_url)
        raise UnavailableError("control.unreachable", what, where=where, hint=hint) from error
