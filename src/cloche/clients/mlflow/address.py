"""The address and credentials of MLflow's records, by MLflow's own rules.

`MLFLOW_TRACKING_URI`, `MLFLOW_REGISTRY_URI`; user and password from the URL, from
`MLFLOW_TRACKING_USERNAME` and `_PASSWORD` or from `~/.mlflow/credentials`; else a token from
`MLFLOW_TRACKING_TOKEN`; `MLFLOW_TRACKING_INSECURE_TLS`, `_SERVER_CERT_PATH`, `_CLIENT_CERT_PATH`;
`MLFLOW_WORKSPACE`. Without a URI, an existing folder `mlruns` or file `mlflow.db` in the working
directory is used, as by MLflow.
"""

from __future__ import annotations

import configparser
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from cloche.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


_DATABRICKS = frozenset({"databricks", "databricks-uc"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """The user's credentials; never printed, never stored."""

    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    @property
    def given(self) -> bool:
        """Return whether there are credentials to send."""
        return bool((self.username and self.password) or self.token)


@dataclass(frozen=True, slots=True)
class Address:
    """A store of MLflow: its URI without credentials, and how to reach it."""

    uri: str
    kind: str
    """`http`, `sqlite` or `folder`."""
    path: Path | None = None
    """The path of the database or folder."""
    credentials: Credentials = field(default_factory=Credentials)
    verify: bool = True
    server_certificate: str | None = None
    client_certificate: str | None = None
    workspace: str | None = None


def tracking_address(environment: Mapping[str, str], directory: Path) -> Address:
    """Return the tracking store of runs and logged models; raises UsageError (`mlflow.uri…`)."""
    uri = environment.get("MLFLOW_TRACKING_URI", "").strip() or _default_uri(directory)
    return _parse(uri, "MLFLOW_TRACKING_URI", environment, directory)


def registry_address(environment: Mapping[str, str], directory: Path) -> Address:
    """Return the store of registered models: MLFLOW_REGISTRY_URI, else the tracking store."""
    uri = environment.get("MLFLOW_REGISTRY_URI", "").strip()
    if uri:
        return _parse(uri, "MLFLOW_REGISTRY_URI", environment, directory)
    return tracking_address(environment, directory)


def _default_uri(directory: Path) -> str:
    runs = directory / "mlruns"
    if any(runs.glob("[0-9]*/meta.yaml")):
        return str(runs)
    database = directory / "mlflow.db"
    if database.is_file():
        return f"sqlite:///{database}"
    raise UsageError(
        "mlflow.uri.unset",
        "MLFLOW_TRACKING_URI is not set, and there is no mlflow.db or mlruns here.",
        where=str(directory),
        hint="Set it to the address of the MLflow server, such as"
        " MLFLOW_TRACKING_URI=http://127.0.0.1:5000.",
    )


def _parse(uri: str, variable: str, environment: Mapping[str, str], directory: Path) -> Address:
    scheme = uri.partition(":")[0].lower() if ":" in uri else ""
    if scheme in {"http", "https"}:
        return _http(uri, variable, environment)
    if scheme == "sqlite":
        name = unquote(uri.partition("?")[0].removeprefix("sqlite:").removeprefix("///"))
        path = directory / name
        return Address(
            f"sqlite:///{path}", "sqlite", path, workspace=environment.get("MLFLOW_WORKSPACE")
        )
    if scheme in {"", "file"} and uri not in _DATABRICKS:
        parts = urlsplit(uri) if scheme else None
        path = directory / Path(unquote(parts.path) if parts else uri).expanduser()
        return Address(str(path), "folder", path)
    raise UsageError(
        "mlflow.uri.scheme",
        f"Cloche cannot read an MLflow store of the kind {scheme or uri!r} directly.",
        where=variable,
        hint="Start `mlflow server` on it and set the variable to the server's http address.",
    )


def _http(uri: str, variable: str, environment: Mapping[str, str]) -> Address:
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host:
        what = f"{variable} is not a usable address."
        raise UsageError("mlflow.uri.invalid", what, hint="Write http://HOST:PORT.")
    bare = f"[{host}]" if ":" in host else host
    netloc = f"{bare}:{port}" if port is not None else bare
    plain = urlunsplit((parts.scheme.lower(), netloc, parts.path.rstrip("/"), "", ""))
    insecure = environment.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in {"true", "1"}
    return Address(
        plain,
        "http",
        credentials=_credentials(parts.username, parts.password, environment),
        verify=not insecure,
        server_certificate=environment.get("MLFLOW_TRACKING_SERVER_CERT_PATH"),
        client_certificate=environment.get("MLFLOW_TRACKING_CLIENT_CERT_PATH"),
        workspace=environment.get("MLFLOW_WORKSPACE"),
    )


def _credentials(
    username: str | None, password: str | None, environment: Mapping[str, str]
) -> Credentials:
    if username:
        return Credentials(unquote(username), unquote(password or ""))
    filed = _credentials_from_file(environment)
    return Credentials(
        environment.get("MLFLOW_TRACKING_USERNAME") or filed.get("mlflow_tracking_username"),
        environment.get("MLFLOW_TRACKING_PASSWORD") or filed.get("mlflow_tracking_password"),
        environment.get("MLFLOW_TRACKING_TOKEN"),
    )


def _credentials_from_file(environment: Mapping[str, str]) -> Mapping[str, str]:
    home = environment.get("HOME")
    path = Path(home or "~").expanduser() / ".mlflow" / "credentials"
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        raise UsageError(
            "mlflow.credentials",
            "The file of MLflow credentials is not readable as an INI file.",
            where=str(path),
            hint="It has a section [mlflow] with mlflow_tracking_username and"
            " mlflow_tracking_password.",
        ) from None
    return dict(parser["mlflow"]) if parser.has_section("mlflow") else {}
