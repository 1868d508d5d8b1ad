from __future__ import annotations

from pathlib import Path

import pytest

from cloche.clients.mlflow import Credentials, registry_address, tracking_address
from cloche.errors import UsageError


def environment(tmp_path: Path, **variables: str) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home"), **variables}


@pytest.mark.parametrize(
    ("uri", "kind", "plain"),
    [
        ("http://127.0.0.1:5000", "http", "http://127.0.0.1:5000"),
        ("HTTPS://Host/ml/", "http", "https://host/ml"),
        ("http://user:pa%40ss@host:5000", "http", "http://host:5000"),
        ("http://[::1]:5000", "http", "http://[::1]:5000"),
        ("sqlite:///mlflow.db", "sqlite", "sqlite:////srv/mlflow.db"),
        ("sqlite:////abs/a%20b.db?timeout=3", "sqlite", "sqlite:////abs/a b.db"),
        ("file:///abs/mlruns", "folder", "/abs/mlruns"),
        ("mlruns", "folder", "/srv/mlruns"),
    ],
)
def test_where_mlflow_keeps_its_records(tmp_path: Path, uri: str, kind: str, plain: str) -> None:
    address = tracking_address(environment(tmp_path, MLFLOW_TRACKING_URI=uri), Path("/srv"))
    assert (address.kind, address.uri) == (kind, plain)
    assert "pa@ss" not in repr(address)


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("postgresql://u:p@host/db", "mlflow.uri.scheme"),
        ("databricks", "mlflow.uri.scheme"),
        ("databricks://profile", "mlflow.uri.scheme"),
        ("http://", "mlflow.uri.invalid"),
        ("http://host:port", "mlflow.uri.invalid"),
    ],
)
def test_what_cannot_be_read_says_so_without_secrets(tmp_path: Path, uri: str, code: str) -> None:
    with pytest.raises(UsageError) as raised:
        tracking_address(environment(tmp_path, MLFLOW_TRACKING_URI=uri), tmp_path)
    assert raised.value.code == code
    assert "u:p" not in str(raised.value.to_dict())


def test_without_a_uri_what_is_here_is_used_as_mlflow_does(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        tracking_address(environment(tmp_path), tmp_path)
    assert raised.value.code == "mlflow.uri.unset"
    (tmp_path / "mlflow.db").touch()
    assert tracking_address(environment(tmp_path), tmp_path).kind == "sqlite"
    (tmp_path / "mlruns/0").mkdir(parents=True)
    (tmp_path / "mlruns/0/meta.yaml").touch()
    assert tracking_address(environment(tmp_path), tmp_path).path == tmp_path / "mlruns"


def test_a_registry_of_its_own(tmp_path: Path) -> None:
    variables = environment(
        tmp_path, MLFLOW_TRACKING_URI="http://a", MLFLOW_REGISTRY_URI="http://b"
    )
    assert tracking_address(variables, tmp_path).uri == "http://a"
    assert registry_address(variables, tmp_path).uri == "http://b"
    del variables["MLFLOW_REGISTRY_URI"]
    assert registry_address(variables, tmp_path) == tracking_address(variables, tmp_path)


def test_credentials_come_from_the_url_the_environment_then_the_file(tmp_path: Path) -> None:
    def credentials(uri: str = "http://host", **variables: str) -> Credentials:
        found = environment(tmp_path, MLFLOW_TRACKING_URI=uri, **variables)
        return tracking_address(found, tmp_path).credentials

    user = {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "a"}
    assert not credentials().given
    assert credentials(MLFLOW_TRACKING_TOKEN="t") == Credentials(token="t")
    (tmp_path / "home/.mlflow").mkdir(parents=True)
    (tmp_path / "home/.mlflow/credentials").write_text(
        "[mlflow]\nmlflow_tracking_username = bob\nmlflow_tracking_password = b%x\n"
    )
    assert credentials() == Credentials("bob", "b%x")
    assert credentials(**user) == Credentials("ann", "a")
    assert credentials("http://eve:e%40@host", **user) == Credentials("eve", "e@")
    assert "b%x" not in repr(credentials())


def test_a_broken_credentials_file_is_said_without_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "home/.mlflow").mkdir(parents=True)
    (tmp_path / "home/.mlflow/credentials").write_text("password = secret\n")
    with pytest.raises(UsageError) as raised:
        tracking_address(environment(tmp_path, MLFLOW_TRACKING_URI="http://host"), tmp_path)
    assert raised.value.code == "mlflow.credentials"
    assert "secret" not in str(raised.value.to_dict())
