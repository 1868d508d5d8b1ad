"""Sending one blob: in one request if it is small, else in pieces, on from where a break left it.

A session is opened with POST, filled with PATCH, asked with GET how far it is, and ended with PUT.
One PATCH carries all that is left, since some registries take no more than one; where that is too
large for the registry, or keeps breaking, the pieces are small.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from cloche.clients.oci.answers import Answer, DigestError, mangled, refusal
from cloche.clients.oci.content import BlobReader, Body
from cloche.clients.patience import AgainError, Attempts
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from cloche.clients.oci.answers import Access
    from cloche.clients.oci.content import Content
    from cloche.clients.oci.transport import Transport
    from cloche.progress import Task

SMALL = 4 * 2**20
"""Bytes up to which a blob is sent in one request; a break begins it anew."""
PIECE = 16 * 2**20
"""Bytes of a piece where the rest is too much for one request."""
_RANGE = re.compile(r"(?:bytes=)?0-(\d+)")
_TOLD = frozenset({*range(200, 300), 400, 404, 413, 416})
"""The statuses that say something of the upload."""
_STREAM = {"Content-Type": "application/octet-stream"}


@dataclass(frozen=True, slots=True)
class Session:
    """An upload that is open in the registry."""

    location: str
    smallest: int = 0
    """Bytes of the smallest piece, apart from the last, that the registry takes."""


def session_of(transport: Transport, answer: Answer, access: Access) -> Session:
    """Return the session that an answer opens or goes on with."""
    smallest = answer.headers.get("OCI-Chunk-Min-Length", "")
    location = transport.beside(answer, answer.headers.get("Location", ""), access)
    return Session(location, int(smallest) if smallest.isdecimal() else 0)


class Upload:
    """One blob on its way into a repository."""

    def __init__(
        self,
        transport: Transport,
        access: Access,
        content: Content,
        task: Task,
        session: Session | None,
    ) -> None:
        self._transport, self._access, self._task = transport, access, task
        self._content, self._session = content, session
        self._reader = BlobReader(content, transport.host)
        self._repository = f"/v2/{access.name}/blobs"
        self._offset = self._furthest = self._shown = 0
        self._in_pieces = self._resumed = self._ending = False

    def run(self) -> None:
        """Send the blob; raises ClocheError `registry.…`, and what `chunks` raises."""
        attempts = Attempts(self._transport.patience, self._transport.stop)
        try:
            while True:
                try:
                    self._go_on()
                    break
                except AgainError as again:
                    if self._offset > self._furthest:
                        self._furthest = self._offset
                        attempts.reset()
                    attempts.failed(again)
                    self._in_pieces |= attempts.failures > 1
                self._task.note("the connection broke, trying again")
                if self._ending and self._is_there():
                    break
                self._recover()
        except BaseException:
            self._cancel()
            raise
        finally:
            self._reader.close()
        self._show(self._content.size)

    # ── the requests ──────────────────────────────────────────────────────────────────────────

    def _go_on(self) -> None:
        if self._session is None:
            self._begin()
        if self._content.size > SMALL:
            while self._offset < self._content.size:
                self._send_piece()
        self._end()

    def _begin(self) -> None:
        answer = self._transport.ask(
            "POST", f"{self._repository}/uploads/", self._access, expected={202},
            headers={"Content-Length": "0"},
        )  # fmt: skip
        self._session = session_of(self._transport, answer, self._access)

    def _send_piece(self) -> None:
        size, start = self._content.size, self._offset
        end = min(size, start + self._piece()) if self._in_pieces else size
        headers = {**_STREAM, "Content-Length": str(end - start)}
        if start or end < size or self._resumed:  # a whole blob at once needs none
            headers["Content-Range"] = f"{start}-{end - 1}"
        answer = self._ask("PATCH", self._location(), headers, self._body(start, end))
        if answer.status == 413 and not self._in_pieces:
            self._in_pieces = True
            raise AgainError(refusal(answer, self._transport.asker(self._access)))
        self._check(answer)
        self._session = self._next_session(answer)
        self._offset = end

    def _end(self) -> None:
        self._ending = True
        location = self._location()
        location += f"{'&' if '?' in location else '?'}digest={quote(self._content.digest)}"
        left = (self._offset, self._content.size)
        headers = {**_STREAM, "Content-Length": str(left[1] - left[0])}
        try:
            answer = self._ask("PUT", location, headers, self._body(*left))
            self._check(answer)
        except DigestError as error:
            if not self._resumed:
                raise
            self._forget()  # what was sent before the break may be damaged there
            raise AgainError(error) from error
        stored = answer.headers.get("Docker-Content-Digest", self._content.digest)
        if stored != self._content.digest:
            raise mangled(
                self._transport.asker(self._access),
                f"stored {self._content.digest} as {stored[:80]}",
            )

    def _ask(self, method: str, url: str, headers: dict[str, str], body: Body) -> Answer:
        return self._transport.ask_once(
            method, url, self._access, expected=_TOLD, headers=headers, content=body,
            answers_in=self._transport.patience.commit,
        )  # fmt: skip

    def _check(self, answer: Answer) -> None:
        if 200 <= answer.status < 300:
            return
        error = refusal(answer, self._transport.asker(self._access))
        raise AgainError(error) if answer.lost_session else error

    # ── after a break ─────────────────────────────────────────────────────────────────────────

    def _recover(self) -> None:
        """Ask how far the session got; forget it if it is gone or does not say."""
        session, self._ending = self._session, False
        if session is None or self._content.size <= SMALL:
            self._forget()
            return
        answer = self._transport.ask(
            "GET", session.location, self._access, expected={200, 204, 400, 404, 405, 416}
        )
        match = _RANGE.fullmatch(answer.headers.get("Range", ""))
        # An empty session says 0-0, as one with a single byte does.
        offset = int(match[1]) + 1 if match and match[1] != "0" else 0
        if answer.status >= 300 or match is None or offset > self._content.size:
            self._forget()
            return
        if answer.headers.get("Location"):
            self._session = self._next_session(answer)
        self._offset, self._resumed = offset, True
        self._show(offset)

    def _forget(self) -> None:
        self._session, self._offset = None, 0
        self._resumed = self._ending = False
        self._show(0)

    def _cancel(self) -> None:
        """Have the registry throw away what it got, if it hears of it."""
        if self._session is None:
            return
        with suppress(AgainError, ClocheError):
            answer = self._transport.ask_once(
                "GET", self._session.location, self._access, expected={200, 204}
            )
            location = self._next_session(answer).location
            self._transport.ask_once(
                "DELETE", location, self._access, expected={200, 202, 204, 404, 405}
            )

    def _is_there(self) -> bool:
        """Return whether the registry has the blob: the answer to the last request was lost."""
        answer = self._transport.ask(
            "HEAD", f"{self._repository}/{self._content.digest}", self._access, expected={200, 404}
        )
        return answer.status == 200

    # ── where it is ───────────────────────────────────────────────────────────────────────────

    def _piece(self) -> int:
        return max(PIECE, self._session.smallest if self._session else 0)

    def _location(self) -> str:
        if self._session is None:
            raise AssertionError("unreachable: a session is opened before anything is sent")
        return self._session.location

    def _next_session(self, answer: Answer) -> Session:
        smallest = self._session.smallest if self._session else 0
        following = session_of(self._transport, answer, self._access)
        return Session(following.location, max(smallest, following.smallest))

    def _body(self, start: int, end: int) -> Body:
        return Body(self._reader, start, end, self._sent)

    def _sent(self, size: int) -> None:
        self._transport.stop.check()
        self._show(size)

    def _show(self, size: int) -> None:
        self._task.advance(size - self._shown)
        self._shown = size
