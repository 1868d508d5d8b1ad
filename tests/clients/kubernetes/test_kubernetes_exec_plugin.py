"""Plugins that print credentials, and credentials that end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from cloche.clients.kubernetes import exec_plugin
from cloche.clients.kubernetes.context import Certificate, Context, Plugin, Server, User
from cloche.clients.kubernetes.credentials import Credentials, Identity
from cloche.errors import ClocheError, UnavailableError
from fixtures.local import until

V1 = "client.authentication.k8s.io/v1"
SERVER = Server("https://kube.example", b"authority", "name", settings={"realm": "x"})
PRINTS = """
import json, os, pathlib, sys
calls = pathlib.Path(__file__).with_suffix(".calls")
calls.write_text(calls.read_text() + "x" if calls.exists() else "x")
"""

Script = Callable[..., Plugin]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Make a plugin out of Python's statements."""

    def make(statements: str, **fields: Any) -> Plugin:
        path = tmp_path / "login.py"
        path.write_text(f"#!{sys.executable}\n{PRINTS}\n{statements}\n")
        path.chmod(0o755)
        own = {"arguments": (), "environment": {}, "api_version": V1, "knows_cluster": False}
        return Plugin(str(path), **{**own, "always_asks": False, "install": "", **fields})

    return make


def printing(status: Any, version: str = V1) -> str:
    answer = {"apiVersion": version, "kind": "ExecCredential", "status": status}
    return f"print({json.dumps(answer)!r})"


def test_a_token(script: Script) -> None:
    status = {"token": "secret", "expirationTimestamp": "2026-01-01T00:00:00Z"}
    found = exec_plugin.run(script(printing(status)), SERVER, {})
    assert found.token == "secret"
    assert found.expires == datetime(2026, 1, 1, tzinfo=UTC)
    assert "secret" not in repr(found)


def test_a_certificate_with_its_key(script: Script) -> None:
    status = {"clientCertificateData": "chain", "clientKeyData": "key"}
    found = exec_plugin.run(script(printing(status)), SERVER, {})
    assert found.certificate == Certificate(b"chain", b"key")


@pytest.mark.parametrize("knows", [True, False])
@pytest.mark.parametrize("version", [V1, V1 + "beta1"])
def test_what_it_is_told(script: Script, tmp_path: Path, knows: bool, version: str) -> None:
    keeping = (
        f"pathlib.Path({str(tmp_path / 'told')!r}).write_text(json.dumps([sys.argv[1:],"
        " json.loads(os.environ['KUBERNETES_EXEC_INFO']), os.environ['A'], os.environ['B'],"
        " sys.stdin.read()]))\n"
    )
    plugin = script(
        keeping + printing({"token": "x"}, version),
        arguments=("--for", "x"),
        environment={"A": "own"},
        knows_cluster=knows,
        api_version=version,
    )
    exec_plugin.run(plugin, SERVER, {"A": "outer", "B": "outer"})
    told = json.loads((tmp_path / "told").read_text())
    cluster = {
        "server": "https://kube.example",
        "tls-server-name": "name",
        "certificate-authority-data": "YXV0aG9yaXR5",
        "config": {"realm": "x"},
    }
    spec = {"interactive": False} | ({"cluster": cluster} if knows else {})
    info = {"apiVersion": version, "kind": "ExecCredential", "spec": spec}
    assert told == [["--for", "x"], info, "own", "outer", ""]


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        ("sys.exit('no session')", "ended with status 1: no session."),
        ("print('secret')", "did not print an ExecCredential."),
        (printing(None), "did not print an ExecCredential."),
        (printing({"token": 7}), "did not print an ExecCredential."),
        (printing({"token": "x", "expirationTimestamp": "soon"}), "did not print"),
        (printing({}), "printed neither a token nor a certificate with its key."),
        (printing({"clientKeyData": "secret"}), "printed neither a token nor"),
        (printing({"token": "secret"}, V1 + "alpha1"), f"{V1}alpha1, not {V1}."),
    ],
)
def test_a_plugin_that_fails(script: Script, statements: str, words: str) -> None:
    with pytest.raises(ClocheError) as caught:
        exec_plugin.run(script(statements), SERVER, {})
    assert caught.value.code == "kubernetes.exec"
    assert words in caught.value.what
    assert "secret" not in str(caught.value.to_dict())


def test_a_plugin_that_does_not_end_is_ended_whole(script: Script, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    statements = (
        "import subprocess, time\n"
        f"pathlib.Path({str(pid)!r}).write_text(str(subprocess.Popen(['sleep', '60']).pid))\n"
        "print('open https://login.example', file=sys.stderr, flush=True)\ntime.sleep(60)"
    )
    with pytest.raises(UnavailableError, match=r"within 3 seconds: open https://login.example"):
        exec_plugin.run(script(statements), SERVER, {}, seconds=3)
    until(lambda: _is_dead(int(pid.read_text())))


def _is_dead(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


@pytest.mark.parametrize("hint", ["Install it.", ""])
def test_a_missing_plugin_says_how_it_is_installed(hint: str) -> None:
    plugin = Plugin("cloche-no-such-login", (), {}, V1, False, False, hint)
    with pytest.raises(ClocheError, match="is not installed") as caught:
        exec_plugin.run(plugin, SERVER, {"PATH": "/usr/bin"})
    assert caught.value.hint == (hint or "Install it, or correct `command` in the kubeconfig.")


# ── credentials ───────────────────────────────────────────────────────────────────────────────


def credentials(user: User, **clocks: Any) -> Credentials:
    return Credentials(Context("here", SERVER, user), {}, **clocks)


def test_a_plugin_runs_again_when_its_credentials_end(script: Script) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    now = [start]
    status = {"expirationTimestamp": (start + timedelta(hours=1)).isoformat()}
    counting = f"status = {status!r} | {{'token': calls.read_text()}}\n"
    plugin = script(counting + f"print(json.dumps({{'apiVersion': {V1!r}, 'status': status}}))")
    asked = credentials(User(plugin=plugin), now=lambda: now[0])
    assert asked.identity() == asked.identity() == Identity("Bearer x")
    now[0] += timedelta(hours=1)
    assert asked.identity() == Identity("Bearer xx")


def test_a_refused_token_is_asked_for_once_more(script: Script) -> None:
    plugin = script(
        f"print(json.dumps({{'apiVersion': {V1!r}, 'status': {{'token': calls.read_text()}}}}))"
    )
    asked = credentials(User(plugin=plugin))
    first = asked.identity()
    assert asked.renewed(first) == Identity("Bearer xx")
    assert asked.renewed(first) == Identity("Bearer xx")  # another thread's was refused before
    assert asked.identity() == Identity("Bearer xx")


def test_a_plugin_that_prints_the_same_again_has_nothing_else(script: Script) -> None:
    asked = credentials(User(plugin=script(printing({"token": "same"}))))
    assert asked.renewed(asked.identity()) is None


def test_a_token_file_is_read_again_after_a_while_and_after_a_refusal(tmp_path: Path) -> None:
    path, now = tmp_path / "token", [100.0]
    path.write_text("one\n")
    asked = credentials(User(token="else", token_file=path), monotonic=lambda: now[0])
    one = asked.identity()
    assert one == Identity("Bearer one")
    path.write_text("two")
    assert asked.identity() == one
    now[0] += 61
    assert asked.identity() == Identity("Bearer two")
    path.write_text("three")
    assert asked.renewed(Identity("Bearer two")) == Identity("Bearer three")
    assert asked.renewed(Identity("Bearer three")) is None


def test_a_token_file_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "token"
    assert credentials(User(token="x", token_file=path)).identity() == Identity("Bearer x")
    with pytest.raises(ClocheError, match="No such file") as caught:
        credentials(User(token_file=path)).identity()
    assert caught.value.where == str(path)


def test_a_password() -> None:
    asked = credentials(User(username="ann", password="secret"))
    assert asked.identity() == Identity("Basic YW5uOnNlY3JldA==")
    assert asked.renewed(asked.identity()) is None
    assert "YW5u" not in repr(asked.identity())


@pytest.mark.parametrize("user", [User(), User(token="x"), User(token_file=Path("/t"))])
def test_a_remedy(user: User) -> None:
    assert credentials(user).remedy
