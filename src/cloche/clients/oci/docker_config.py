"""Whom the user logged in as, in Docker's config file: `docker login`, or a CI that writes it.

`$DOCKER_CONFIG/config.json` (`~/.docker`): `credHelpers` names a program for a registry,
`credsStore` one for all, `auths` has what is kept in the file itself.
https://docs.docker.com/reference/cli/docker/login/#credential-stores
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloche.clients.oci import credential_helper
from cloche.clients.oci.credentials import Credentials
from cloche.clients.oci.reference import DOCKER_HUB
from cloche.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_DOCKER_HUB_KEY = "https://index.docker.io/v1/"


def credentials_for(host: str, environment: Mapping[str, str]) -> Credentials | None:
    """Return what the user has for a registry; None for nothing.

    Raises UsageError `registry.docker_config`, ClocheError `registry.credential_helper`.
    """
    path = config_file(environment)
    config = _read(path)
    key = _DOCKER_HUB_KEY if host == DOCKER_HUB else host
    if helper := _helper(config, key, path):
        found = credential_helper.get(helper, key, environment)
        if found is not None:
            return found
    return _kept(config, key, path)


def config_file(environment: Mapping[str, str]) -> Path:
    """Return the path of the config file, whether or not there is one."""
    if folder := environment.get("DOCKER_CONFIG"):
        return Path(folder) / "config.json"
    return Path(environment.get("HOME") or Path.home()) / ".docker" / "config.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise _config_error(path, f"it cannot be read: {error.strerror}") from error
    except ValueError:  # without its words, which may show what is in the file
        raise _config_error(path, "it is not JSON") from None
    if not isinstance(config, dict):
        raise _config_error(path, "it is not an object")
    return config


def _helper(config: dict[str, Any], key: str, path: Path) -> str | None:
    helpers = _object(config, "credHelpers", path)
    name = helpers.get(key) or helpers.get(_host_of(key)) or config.get("credsStore") or None
    if name is not None and not credential_helper.is_name(name):
        raise _config_error(path, "the name of a credential helper is not one")
    return name


def _kept(config: dict[str, Any], key: str, path: Path) -> Credentials | None:
    """Return what the file itself has; keys may be written as addresses."""
    entries = _object(config, "auths", path)
    named = [name for name in entries if _host_of(name) == _host_of(key)]
    # The plain name goes before an address of the same host.
    for name in sorted(named, key=lambda name: name != key):
        entry = entries[name]
        if not isinstance(entry, dict):
            raise _config_error(path, f"auths has no object for {_host_of(name)}")
        if found := _entry(entry, _host_of(name), path):
            return found
    return None


def _entry(entry: dict[str, Any], host: str, path: Path) -> Credentials | None:
    username, password = str(entry.get("username", "")), str(entry.get("password", ""))
    if entry.get("auth"):
        try:
            pair = b64decode(str(entry["auth"]), validate=True).decode()
        except (binascii.Error, ValueError):  # without its words, which may show the secret
            pair = ""
        username, colon, password = pair.partition(":")
        if not colon:
            raise _config_error(path, f"auth of {host} is not a name and password in base64")
    found = Credentials(
        username,
        password.rstrip("\0"),
        str(entry.get("identitytoken", "")),
        str(entry.get("registrytoken", "")),
    )
    return found if found != Credentials() else None


def _host_of(key: str) -> str:
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]


def _object(config: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    value = config.get(key) or {}
    if not isinstance(value, dict):
        raise _config_error(path, f"{key} is not an object")
    return value


def _config_error(path: Path, why: str) -> UsageError:
    return UsageError(
        "registry.docker_config",
        f"Docker's config file is not usable: {why}.",
        where=str(path),
        hint="Correct it, or name the folder of another one with DOCKER_CONFIG.",
    )
