"""Settings of the machine: `CLOCHE_HOME/config.toml`, then environment variables over it.

    [gateway]
    host = "127.0.0.1"        # CLOCHE_GATEWAY_HOST
    port = 8080               # CLOCHE_GATEWAY_PORT
    workers = 1               # CLOCHE_GATEWAY_WORKERS: Envoy's worker threads
    max_request_bytes = "256MiB"  # CLOCHE_GATEWAY_MAX_REQUEST_BYTES
    request_timeout = "60s"   # CLOCHE_GATEWAY_REQUEST_TIMEOUT

    [control]
    port = 0                  # CLOCHE_CONTROL_PORT: 0 takes a free one

    [cache]
    max_size = "50GiB"        # CLOCHE_CACHE_MAX_SIZE

Everything that Cloche keeps stands under one folder, `CLOCHE_HOME` (default `~/.cloche`).
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloche.errors import ErrorGroup, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SIZE_UNITS = {
    "": 1, "B": 1,
    "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_DURATION_UNITS = {
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}


def parse_size(text: str | int) -> int:
    """Return the bytes of `4Gi`, `500MB` or `1024`; ValueError says what a size looks like."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(text))
    if match is None or match[2] not in _SIZE_UNITS:
        raise ValueError(f"{text!r} is not a size; write one like 512Mi, 4Gi or 2GB")
    return int(float(match[1]) * _SIZE_UNITS[match[2]])


def parse_duration(text: str | float) -> float:
    """Return the seconds of `100us`, `1.5ms`, `60s`, `5m`; ValueError says what one looks like."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", str(text))
    if match is None or match[2] not in _DURATION_UNITS:
        raise ValueError(f"{text!r} is not a duration; write one like 500us, 10ms, 60s or 5m")
    return float(match[1]) * _DURATION_UNITS[match[2]]


def _port(value: str | int) -> int:
    port = _whole(value)
    if port is None or port > 65535:
        raise ValueError(f"{value!r} is not a port; ports are 0 to 65535")
    return port


def _count(value: str | int) -> int:
    count = _whole(value)
    if not count:
        raise ValueError(f"{value!r} is not a count of 1 or more")
    return count


def _whole(value: str | int) -> int | None:
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdecimal() else None


@dataclass(frozen=True, slots=True)
class Settings:
    """The machine's settings, complete and in base units (bytes, seconds)."""

    home: Path
    gateway_host: str = "127.0.0.1"
    gateway_port: int = 8080
    gateway_workers: int = 1
    gateway_max_request_bytes: int = 256 * 2**20
    gateway_request_timeout: float = 60.0
    control_port: int = 0
    cache_max_size: int = 50 * 2**30


_KEYS: dict[tuple[str, str], tuple[str, Callable[[Any], Any]]] = {
    ("gateway", "host"): ("gateway_host", str),
    ("gateway", "port"): ("gateway_port", _port),
    ("gateway", "workers"): ("gateway_workers", _count),
    ("gateway", "max_request_bytes"): ("gateway_max_request_bytes", parse_size),
    ("gateway", "request_timeout"): ("gateway_request_timeout", parse_duration),
    ("control", "port"): ("control_port", _port),
    ("cache", "max_size"): ("cache_max_size", parse_size),
}


def default_home(environment: Mapping[str, str]) -> Path:
    """Return `CLOCHE_HOME`, or `~/.cloche` where it is not set."""
    return Path(environment.get("CLOCHE_HOME") or Path.home() / ".cloche").expanduser().absolute()


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; raises an ErrorGroup with every wrong key and value at once."""
    home = default_home(environment)
    values: dict[str, Any] = {}
    errors: list[UsageError] = []
    for (section, key), text, where in [
        *_from_file(home / "config.toml", errors),
        *_from_environment(environment),
    ]:
        name, parse = _KEYS[section, key]
        try:
            values[name] = parse(text)
        except (TypeError, ValueError) as error:
            errors.append(
                UsageError("settings.value", f"{section}.{key}: {error}.", where=where,
                           hint=f"Correct {section}.{key} or remove it to get the default.")
            )  # fmt: skip
    if errors:
        raise ErrorGroup("settings.invalid", "The settings of this machine are not usable.", errors)
    return Settings(home=home, **values)


def _from_file(path: Path, errors: list[UsageError]) -> list[tuple[tuple[str, str], Any, str]]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return []  # a home that cannot be one is refused where it is used
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        what = f"Cannot read the settings: {error}"
        hint = "Correct the file, or remove it to get the defaults."
        errors.append(UsageError("settings.unreadable", what, where=str(path), hint=hint))
        return []
    found = []
    for section, keys in document.items():
        for key, value in keys.items() if isinstance(keys, dict) else [("", keys)]:
            if (section, key) in _KEYS:
                found.append(((section, key), value, str(path)))
                continue
            name = f"{section}.{key}".rstrip(".")
            known = ", ".join(sorted(f"{s}.{k}" for s, k in _KEYS))
            errors.append(
                UsageError(
                    "settings.unknown",
                    f"Unknown setting {name}.",
                    where=str(path),
                    hint=f"The settings are {known}.",
                )
            )
    return found


def _from_environment(environment: Mapping[str, str]) -> list[tuple[tuple[str, str], str, str]]:
    names = {f"CLOCHE_{section}_{key}".upper(): (section, key) for section, key in _KEYS}
    return [
        (pair, environment[name], name) for name, pair in names.items() if environment.get(name)
    ]
