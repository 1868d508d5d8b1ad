"""HTTP to one repository of a hub: errors translated, no token in any message.

The hub names an error in the header `X-Error-Code`. Files of Git LFS are redirected to another
host, which gets no token (`cloche.clients.http.Bearer`).
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from cloche.clients.http import Bearer, HttpReader, failure, is_untrusted
from cloche.errors import ClocheError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    import httpx

    from cloche.clients.huggingface.hub import Hub

_ACCESS = "Set HF_TOKEN to a token that may read it (Settings, Access Tokens on the hub)."


class Transport(HttpReader):
    """A connection to a hub for one repository; safe for several threads."""

    def __init__(self, hub: Hub, name: str) -> None:
        self._has_token = hub.token is not None
        self._name = name
        self.where = f"{hub.endpoint}/{name}"
        super().__init__(
            hub.endpoint,
            authentication=Bearer(hub.token) if hub.token else None,
            tls=_tls(hub),
        )

    def check(self, response: httpx.Response) -> None:
        """Raise the error of an answer, if any; its body must have been read."""
        status = response.status_code
        if status < 300:
            return
        if response.url.host != self._client.base_url.host:
            raise self._refused("The store of the hub's files", status)
        if error := self._named(response.headers.get("X-Error-Code", "")):
            raise error
        if status in {401, 403}:
            raise self._unauthorized(response.headers.get("X-Error-Message", ""))
        if status >= 500 or status == 429:
            raise self._refused("The hub", status)
        raise self.not_hub()

    def _named(self, code: str) -> ClocheError | None:
        """Return the error for a code of the hub; None for an unknown one."""
        match code:
            case "RepoNotFound":
                return self._missing()
            case "GatedRepo":
                return self._gated()
            case "RevisionNotFound":
                return NotFoundError(
                    "huggingface.revision",
                    f"{self._name} has no such revision.",
                    where=self.where,
                    hint="Name a branch, a tag or a commit of it: hf://"
                    f"{self._name}@REVISION. Without one it is the branch main.",
                )
            case "EntryNotFound":
                return NotFoundError(
                    "huggingface.file",
                    f"A file that {self._name} lists is not there.",
                    where=self.where,
                    hint="See the files of the repository on the hub.",
                )
            case "DisabledRepo":
                return ClocheError(
                    "huggingface.disabled",
                    f"The hub has disabled {self._name}.",
                    where=self.where,
                    hint="Its page on the hub says why; name another repository.",
                )
        return None

    def _missing(self) -> ClocheError:
        seen = "this token may not see it" if self._has_token else "no token is set to see it"
        return NotFoundError(
            "huggingface.missing",
            f"There is no repository {self._name} of a model, or it is private and {seen}.",
            where=self.where,
            hint=f"Check the name. For a private one: {_ACCESS[0].lower()}{_ACCESS[1:]}",
        )

    def _gated(self) -> ClocheError:
        who = "this token has no access" if self._has_token else "no token is set"
        return ClocheError(
            "huggingface.gated",
            f"{self._name} is gated, and {who}.",
            where=self.where,
            hint=f"Ask for access on its page, {self.where}. {_ACCESS}",
        )

    def _unauthorized(self, message: str) -> ClocheError:
        if self._has_token or message.startswith("Invalid"):
            what = f"The hub refuses the token for {self._name}."
        else:
            what = f"The hub requires a token for {self._name}, and none is set."
        return ClocheError("huggingface.unauthorized", what, where=self.where, hint=_ACCESS)

    def _refused(self, who: str, status: int) -> ClocheError:
        what, hint = f"{who} answered {status}.", "Try again in a while."
        return UnavailableError("huggingface.refused", what, where=self.where, hint=hint)

    def not_hub(self) -> ClocheError:
        """Return the error for an answer that is not the hub's."""
        return ClocheError(
            "huggingface.not_hub",
            "This address is not a Hugging Face Hub: the answer is not JSON of its API.",
            where=self.base,
            hint="Check HF_ENDPOINT: it may name another server or a login page.",
        )

    def unreachable(self, error: httpx.RequestError) -> ClocheError:
        """Return the error for an unreachable or silent hub."""
        if is_untrusted(error):
            return ClocheError(
                "huggingface.certificate",
                "The certificate of the hub is not trusted.",
                where=self.base,
                hint="Set SSL_CERT_FILE to its authority's certificate.",
            )
        return UnavailableError(
            "huggingface.unreachable",
            f"Cannot reach the hub: {failure(error)}.",
            where=self.base,
            hint="Check the network and HF_ENDPOINT. With HF_HUB_OFFLINE=1 only what is on this"
            " machine is used.",
        )


def _tls(hub: Hub) -> ssl.SSLContext:
    """Return whom to trust, also for a hub without TLS: its files may come from elsewhere."""
    try:
        return ssl.create_default_context(cafile=hub.authorities)
    except OSError as error:
        raise ClocheError(
            "huggingface.certificate",
            f"Cannot load a certificate: {error}.",
            where=hub.authorities,
            hint="Check SSL_CERT_FILE and REQUESTS_CA_BUNDLE.",
        ) from error
