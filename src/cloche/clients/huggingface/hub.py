"""Where the hub is and who asks, by the rules of the hub's own client (huggingface_hub/constants).

`HF_ENDPOINT`; the token in `HF_TOKEN`, else `HUGGING_FACE_HUB_TOKEN`, else in the file that
`HF_TOKEN_PATH` names (`$HF_HOME/token`), unless `HF_HUB_DISABLE_IMPLICIT_TOKEN`; `HF_HUB_OFFLINE`
or `TRANSFORMERS_OFFLINE`; the cache in `HF_HUB_CACHE` (`$HF_HOME/hub`). `HF_HOME` is
`~/.cache/huggingface`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cloche.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PUBLIC = "https://huggingface.co"
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub: its address, the user's token, and the folder of the hub's own client."""

    endpoint: str
    """`https://huggingface.co`, without a slash at the end."""
    cache: Path
    token: str | None = field(default=None, repr=False)
    """Never printed, never stored."""
    offline: bool = False
    authorities: str | None = None
    """A file of certificates to trust instead of the system's."""


def hub_of(environment: Mapping[str, str]) -> Hub:
    """Return the hub that a user's environment names; raises UsageError `huggingface.endpoint`."""
    home = _home(environment)
    folder = environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE")
    return Hub(
        endpoint=_endpoint(environment.get("HF_ENDPOINT", "").strip() or _PUBLIC),
        cache=_path(folder, environment) if folder else home / "hub",
        token=_token(environment, home),
        offline=any(_is_set(environment, variable) for variable in _OFFLINE),
        authorities=environment.get("SSL_CERT_FILE") or environment.get("REQUESTS_CA_BUNDLE"),
    )


def _endpoint(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(
            "huggingface.endpoint",
            "HF_ENDPOINT is not the address of a hub.",
            where="HF_ENDPOINT",
            hint="Write https://HOST or http://HOST:PORT; a token stands in HF_TOKEN.",
        )
    return text.rstrip("/")


def _token(environment: Mapping[str, str], home: Path) -> str | None:
    if _is_set(environment, "HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        return None
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if token := _clean(environment.get(variable, "")):
            return token
    named = environment.get("HF_TOKEN_PATH")
    path = _path(named, environment) if named else home / "token"
    try:
        return _clean(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None  # as the hub's own client does: the hub then says whether it needs one


def _clean(text: str) -> str | None:
    """Return a token without the line breaks of the file or the shell that it comes from."""
    token = text.replace("\r", "").replace("\n", "").strip()
    return token if token.isascii() and token.isprintable() and token else None


def _home(environment: Mapping[str, str]) -> Path:
    if home := environment.get("HF_HOME"):
        return _path(home, environment)
    caches = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return _path(caches, environment) / "huggingface"


def _path(text: str, environment: Mapping[str, str]) -> Path:
    """Return the path of a variable, with the user's own home for `~`."""
    if text == "~" or text.startswith("~/"):
        text = (environment.get("HOME") or str(Path.home())) + text[1:]
    return Path(os.path.abspath(text))  # noqa: PTH100 - Path.absolute keeps `..`


def _is_set(environment: Mapping[str, str], variable: str) -> bool:
    return environment.get(variable, "").strip().upper() in _TRUE
