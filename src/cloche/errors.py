"""The error tree.

Every failure that a user can meet is a `ClocheError`: a stable code, what happened, where, what to
do about it, and whether trying again can help. Foreign errors are translated where they enter (in
`clients/`, `environments/`, `servers/`). The command line renders each error once.

    ClocheError
    ├── UsageError        the input is wrong (exit code 2)
    ├── NotFoundError     nothing has that name
    ├── ConflictError     the request does not fit the current state
    ├── UnavailableError  something outside did not answer; trying again can help
    │   ├── BusyError     another process, or work under way, holds a resource
    │   └── StaleError    a record changed after it was read: read it again
    ├── SupersededError   a later deploy or a rollback took over (exit code 3)
    └── ErrorGroup        several errors of one document, reported together

Code that reacts to an error catches its class and never compares its code or words: those are for
people and other programs. `to_dict` and `from_dict` keep the class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class ClocheError(Exception):
    """A failure with a remedy.

    `code` is dotted and stable (`source.onnx.truncated`); `where` is a path, URL, `file:line` or
    name; `hint` is the next thing to do, as a sentence.
    """

    kind: ClassVar[str] = "failed"
    """Names the class in JSON."""
    exit_code = 1

    def __init__(
        self,
        code: str,
        what: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        retriable: bool = False,
    ) -> None:
        super().__init__(what)
        self.code = code
        self.what = what
        self.where = where
        self.hint = hint
        self.retriable = retriable

    def with_(
        self, *, what: str | None = None, where: str | None = None, hint: str | None = None
    ) -> Self:
        """Return a copy with the given texts replaced."""
        copy = type(self).__new__(type(self), what or self.what)
        copy.__dict__.update(self.__dict__)
        copy.what = what or self.what
        copy.where = where or self.where
        copy.hint = hint or self.hint
        return copy

    def to_dict(self) -> dict[str, Any]:
        """Return the error as the JSON object that the API and `--json` carry."""
        return {
            "kind": self.kind,
            "code": self.code,
            "what": self.what,
            "where": self.where,
            "hint": self.hint,
            "retriable": self.retriable,
        }


class UsageError(ClocheError):
    """The input is wrong, whatever the current state."""

    kind = "usage"
    exit_code = 2


class NotFoundError(ClocheError):
    """Nothing has the given name."""

    kind = "not_found"


class ConflictError(ClocheError):
    """The request does not fit the current state."""

    kind = "conflict"


class UnavailableError(ClocheError):
    """Something outside Cloche did not answer in time or refused for now."""

    kind = "unavailable"

    def __init__(
        self, code: str, what: str, *, where: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(code, what, where=where, hint=hint, retriable=True)


class BusyError(UnavailableError):
    """Another process, or work under way, holds a resource that is needed."""

    kind = "busy"


class SupersededError(ClocheError):
    """A later request for the same service took over, or the rollout was undone."""

    kind = "superseded"
    exit_code = 3


class StaleError(UnavailableError):
    """A record changed after it was read; reading it again can help."""

    kind = "stale"


class ErrorGroup(ClocheError):
    """All errors of one document at once; its exit code is the gravest of its members'."""

    kind = "group"

    def __init__(self, code: str, what: str, errors: Sequence[ClocheError]) -> None:
        super().__init__(code, what, retriable=bool(errors) and all(e.retriable for e in errors))
        self.errors = tuple(errors)
        self.exit_code = max((error.exit_code for error in errors), default=1)

    def raise_if_any(self) -> None:
        """Raise the only member as it is, or the group of several; without members do nothing."""
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            raise self

    def __str__(self) -> str:
        """Return what happened and all members, as the command line shows them."""
        members = (line for error in self.errors for line in lines_of(error))
        return "\n".join([self.what, *(f"  {line}" for line in members)])

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "errors": [error.to_dict() for error in self.errors]}


_CLASSES: dict[str, type[ClocheError]] = {
    error.kind: error
    for error in (
        ClocheError, UsageError, NotFoundError, ConflictError, UnavailableError, BusyError,
        StaleError, SupersededError,
    )
}  # fmt: skip


def from_dict(fields: Mapping[str, Any]) -> ClocheError:
    """Return the error of an object that `to_dict` made, with the same class.

    Missing fields get defaults: the object may come from another version of Cloche.
    """
    code, what = str(fields.get("code", "internal")), str(fields.get("what", "It failed."))
    if fields.get("errors"):
        return ErrorGroup(code, what, [from_dict(member) for member in fields["errors"]])
    retriable = bool(fields.get("retriable"))
    missing = UnavailableError if retriable else ClocheError
    kind = _CLASSES.get(str(fields.get("kind")), missing)
    error = kind(code, what, where=fields.get("where"), hint=fields.get("hint"))
    error.retriable = retriable
    return error


def lines_of(error: ClocheError, label: Callable[[str], str] = str) -> list[str]:
    """Return an error as lines of text, a group's members below it; `label` may add colour."""
    lines = [f"{label(f'error[{error.code}]')}: {_indent(error.what)}"]
    if error.where:
        lines.append(f"  where: {error.where}")
    if error.hint:
        lines.append(f"  hint: {_indent(error.hint)}")
    if isinstance(error, ErrorGroup):
        for member in error.errors:
            lines += ["  " + line for line in lines_of(member, label)]
    return lines


def _indent(text: str) -> str:
    return text.replace("\n", "\n    ")
