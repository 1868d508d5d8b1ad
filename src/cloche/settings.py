"""Settings of the machine: `CLOCHE_HOME/config.toml`, then environment variables over it.

    [gateway]
    host = "127.0.0.1"        # CLOCHE_GATEWAY_HOST
    port = 8080               # CLOCHE_GATEWAY_PORT
    workers = 1               # CLOCHE_GATEWAY_WORKERS: Envoy's worker threads
    processes = 2             # CLOCHE_GATEWAY_PROCESSES: Envoys that share the port
    max_request_bytes = "256MiB"  # CLOCHE_GATEWAY_MAX_REQUEST_BYTES
    request_timeout = "60s"   # CLOCHE_GATEWAY_REQUEST_TIMEOUT
    hosts = []                # CLOCHE_GATEWAY_HOSTS: further names that lead to the gateway
    cors = []                 # CLOCHE_GATEWAY_CORS: origins of web pages that may use it

    [control]
    port = 0                  # CLOCHE_CONTROL_PORT: 0 takes a free one

    [cache]
    max_size = "50GiB"        # CLOCHE_CACHE_MAX_SIZE

    [environments]
    pytorch_index = "https://download.pytorch.org/whl/cpu"  # CLOCHE_ENVIRONMENTS_PYTORCH_INDEX

    [images]
    debian_mirror = "https://deb.debian.org"  # CLOCHE_IMAGES_DEBIAN_MIRROR
    trusted = []              # CLOCHE_IMAGES_TRUSTED: registries whose verdicts are believed

Everything that Cloche keeps is in one folder, `CLOCHE_HOME` (default `~/.cloche`).
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cloche.errors import ErrorGroup, UsageError
from cloche.home import HomeLayout, default_home
from cloche.units import parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


PYTORCH_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyTorch's own index of its builds for CPUs."""
DEBIAN_MIRROR = "https://deb.debian.org"
"""Debian's own mirror: `debian/` and `debian-security/` lie under it."""
_MOST_PROCESSES = 8
_LABELS = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*"
_HOST = re.compile(rf"(\*\.)?{_LABELS}", re.IGNORECASE)
_REPOSITORY = re.compile(r"[A-Za-z0-9.-]+(:\d+)?(/[a-z0-9][a-z0-9._-]*)*/?")
_ORIGIN = re.compile(rf"[a-z][a-z0-9+.-]*://({_LABELS}|\[[0-9a-f:.]+\])(:\d+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Settings:
    """The machine's settings, complete and in base units (bytes, seconds)."""

    home: Path
    gateway_host: str = "127.0.0.1"
    gateway_port: int = 8080
    gateway_workers: int = 1
    gateway_processes: int = 2 if sys.platform == "linux" else 1
    """How many share the port; elsewhere the kernel does not spread connections over them."""
    gateway_max_request_bytes: int = 256 * 2**20
    gateway_request_timeout: float = 60.0
    gateway_hosts: tuple[str, ...] = ()
    """Names, or `*.example.com`, beside those that lead to this machine anyway."""
    gateway_cors: tuple[str, ...] = ()
    """Origins, such as `https://app.example.com`; `*` is every one."""
    control_port: int = 0
    cache_max_size: int = 50 * 2**30
    environments_pytorch_index: str = PYTORCH_INDEX
    images_debian_mirror: str = DEBIAN_MIRROR
    images_trusted: tuple[str, ...] = ()
    """Registries, or repositories in them, `registry.example.com/team`: who may push there may say
    what a model of yours becomes."""

    @property
    def layout(self) -> HomeLayout:
        """Return the layout of the home."""
        return HomeLayout(self.home)


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


def _processes(value: str | int) -> int:
    count = _count(value)
    if count > _MOST_PROCESSES:
        raise ValueError(f"{value!r} is more than {_MOST_PROCESSES}, which is enough")
    return count


def _whole(value: str | int) -> int | None:
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdecimal() else None


def _address(value: str) -> str:
    parts = urlsplit(str(value))
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{value!r} is not an address like https://mirror.example")
    if "@" in parts.netloc:
        raise ValueError("the address has a name or password; put them into ~/.netrc")
    return value.rstrip("/")


def _hosts(value: str | list[str]) -> tuple[str, ...]:
    for name in _texts(value):
        if not _HOST.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a host, such as models.example.com")
    return _texts(value)


def _origins(value: str | list[str]) -> tuple[str, ...]:
    for origin in _texts(value):
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin!r} is not an origin, such as https://app.example.com")
    return _texts(value)


def _repositories(value: str | list[str]) -> tuple[str, ...]:
    for name in _texts(value):
        if not _REPOSITORY.fullmatch(name):
            raise ValueError(f"{name!r} is no registry, such as registry.example.com/team")
    return tuple(name.rstrip("/") for name in _texts(value))


def _texts(value: str | list[str]) -> tuple[str, ...]:
    """Return a list, which in an environment variable is divided by commas."""
    texts = value.split(",") if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{value!r} is not a list of texts")
    return tuple(text.strip() for text in texts if text.strip())


def _joined(texts: tuple[str, ...]) -> str:
    """Return texts divided by commas; of none a comma, since an empty variable counts as unset."""
    return ",".join(texts) or ","


def _seconds(value: float) -> str:
    """Return seconds in a form that `parse_duration` reads, which has no exponent."""
    from decimal import Decimal

    return f"{Decimal(repr(value)):f}s"


@dataclass(frozen=True, slots=True)
class Key:
    """One setting: its name in each place, and how it is read and written."""

    section: str
    key: str
    parse: Callable[[Any], Any]
    write: Callable[[Any], str] = str

    @property
    def name(self) -> str:
        """Return the name in config.toml: `gateway.port`."""
        return f"{self.section}.{self.key}"

    @property
    def field(self) -> str:
        """Return the field of Settings: `gateway_port`."""
        return f"{self.section}_{self.key}"

    @property
    def variable(self) -> str:
        """Return the environment variable: `CLOCHE_GATEWAY_PORT`."""
        return f"CLOCHE_{self.field}".upper()


KEYS = (
    Key("gateway", "host", str),
    Key("gateway", "port", _port),
    Key("gateway", "workers", _count),
    Key("gateway", "processes", _processes),
    Key("gateway", "max_request_bytes", parse_size),
    Key("gateway", "request_timeout", parse_duration, _seconds),
    Key("gateway", "hosts", _hosts, _joined),
    Key("gateway", "cors", _origins, _joined),
    Key("control", "port", _port),
    Key("cache", "max_size", parse_size),
    Key("environments", "pytorch_index", _address),
    Key("images", "debian_mirror", _address),
    Key("images", "trusted", _repositories, _joined),
)
_BY_PLACE = {(key.section, key.key): key for key in KEYS}


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; raises an ErrorGroup with every wrong key and value at once."""
    home = default_home(environment)
    values: dict[str, Any] = {}
    errors: list[UsageError] = []
    given = _from_file(HomeLayout(home).config, errors) + _from_environment(environment)
    for key, text, where in given:
        try:
            values[key.field] = key.parse(text)
        except (TypeError, ValueError) as error:
            errors.append(
                UsageError("settings.value", f"{key.name}: {error}.", where=where,
                           hint=f"Correct {key.name} or remove it to get the default.")
            )  # fmt: skip
    if errors:
        raise ErrorGroup("settings.invalid", "The settings of this machine are not usable.", errors)
    return Settings(home=home, **values)


def variables(settings: Settings) -> dict[str, str]:
    """Return the environment variables that `load` reads back as the same settings."""
    written = {key.variable: key.write(getattr(settings, key.field)) for key in KEYS}
    return {"CLOCHE_HOME": str(settings.home), **written}


def _from_file(path: Path, errors: list[UsageError]) -> list[tuple[Key, Any, str]]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return []  # a home that is not a folder is refused where it is used
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        what = f"Cannot read the settings: {error}"
        hint = "Correct the file, or remove it to get the defaults."
        errors.append(UsageError("settings.unreadable", what, where=str(path), hint=hint))
        return []
    values = []
    for section, keys in document.items():
        for key, value in keys.items() if isinstance(keys, dict) else [("", keys)]:
            if (section, key) in _BY_PLACE:
                values.append((_BY_PLACE[section, key], value, str(path)))
                continue
            name = f"{section}.{key}".rstrip(".")
            hint = f"The settings are {', '.join(sorted(setting.name for setting in KEYS))}."
            errors.append(
                UsageError(
                    "settings.unknown", f"Unknown setting {name}.", where=str(path), hint=hint
                )
            )
    return values


def _from_environment(environment: Mapping[str, str]) -> list[tuple[Key, Any, str]]:
    return [
        (key, environment[key.variable], key.variable)
        for key in KEYS
        if environment.get(key.variable)
    ]
