"""Errors that came as JSON, from the API or from a process, as the errors they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.errors import ClocheError, ErrorGroup, SupersededError, UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


def error_of(found: Mapping[str, Any], exit_code: int = 1) -> ClocheError:
    """Return the error that `ClocheError.to_dict` made an object of, with its exit code."""
    code, what = str(found.get("code", "internal")), str(found.get("what", "It failed."))
    where, hint = found.get("where"), found.get("hint")
    if found.get("errors"):
        return ErrorGroup(code, what, [error_of(one, exit_code) for one in found["errors"]])
    if exit_code == UsageError.exit_code:
        return UsageError(code, what, where=where, hint=hint)
    if exit_code == SupersededError.exit_code:
        return SupersededError(code, what, where=where, hint=hint)
    if found.get("retriable"):
        return UnavailableError(code, what, where=where, hint=hint)
    return ClocheError(code, what, where=where, hint=hint)
