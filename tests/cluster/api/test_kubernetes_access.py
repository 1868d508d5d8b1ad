"""Who asks a real API server, and whom to trust."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster, connect
from cloche.clients.kubernetes.errors import ForbiddenError
from cloche.clients.kubernetes.kubeconfig import merged
from cloche.errors import (
    ClocheError,
    NotFoundError,
    UnavailableError,
    UsageError,
)
from cluster.harness.access import CONTEXT, by_certificate
from cluster.harness.api_server import ApiServer
from fixtures.kubernetes_client import SHORT, AsUser, Quiet, deployment, serving

V1 = "client.authentication.k8s.io/v1"
Trouble = Callable[[Quiet, httpx.Response], None]


# ── who asks ──────────────────────────────────────────────────────────────────────────────────


def test_a_missing_right_names_user_verb_resource_and_namespace(
    api_server: ApiServer, api_namespace: str
) -> None:
    environment = {"KUBECONFIG": str(api_server.kubeconfig_of("ann"))}
    with connect(CONTEXT, environment) as ann:
        with pytest.raises(ForbiddenError) as caught:
            ann.apply(kinds.DEPLOYMENT, deployment("a", api_namespace))
        place = f"in namespace {api_namespace}"
        assert caught.value.what == f"ann may not patch deployments.apps {place}."
        with pytest.raises(ForbiddenError, match=r"ann may not list nodes\."):
            ann.list(kinds.NODE)
        with pytest.raises(ForbiddenError, match=r"ann may not get pods/log in namespace"):
            list(ann.log("a", api_namespace, "main"))
        with (
            pytest.raises(ForbiddenError, match=r"ann may not \w+ pods/portforward in namespace"),
            ann.forward("a", api_namespace, 80),
        ):
            pass


def test_somebody_else_is_impersonated(as_user: AsUser, api_server: ApiServer) -> None:
    user = {
        "token": api_server.token,
        "as": "bob",
        "as-groups": ["readers", "system:authenticated"],
    }
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = as_user(user).post("/apis/authentication.k8s.io/v1/selfsubjectreviews", body)
    info = answer["status"]["userInfo"]
    assert (info["username"], info["groups"]) == ("bob", ["readers", "system:authenticated"])


def test_a_wrong_token(as_user: AsUser) -> None:
    with pytest.raises(ClocheError, match="wrong or have expired") as caught:
        as_user({"token": "a-wrong-one"}).version()
    assert caught.value.code == "kubernetes.unauthorized"
    assert "a-wrong-one" not in str(caught.value.to_dict())


def test_a_token_file_that_was_written_anew(
    as_user: AsUser, api_server: ApiServer, tmp_path: Path, api_namespace: str
) -> None:
    path = tmp_path / "token"
    path.write_text("expired")
    client = as_user({"tokenFile": str(path)})
    with pytest.raises(ClocheError, match="wrong or have expired"):
        client.list(kinds.CONFIG_MAP, api_namespace)
    path.write_text(api_server.token)
    assert client.list(kinds.CONFIG_MAP, api_namespace).items == []


@pytest.mark.parametrize("shown", ["token", "certificate"])
def test_a_plugin_is_asked_once_more_when_its_credentials_are_refused(
    as_user: AsUser, api_server: ApiServer, tmp_path: Path, shown: str
) -> None:
    pair = api_server.authority.issue("plugin", "/O=system:masters/CN=plugin")
    good = {
        "token": {"token": api_server.token},
        "certificate": {
            "clientCertificateData": pair.certificate.read_text(),
            "clientKeyData": pair.key.read_text(),
        },
    }[shown]
    script = tmp_path / "login"
    script.write_text(
        f"#!{sys.executable}\nimport json, pathlib\n"
        f"calls = pathlib.Path({str(tmp_path / 'calls')!r})\n"
        "calls.write_text(calls.read_text() + 'x' if calls.exists() else 'x')\n"
        f"status = {good!r} if calls.read_text() == 'xx' else {{'token': 'expired'}}\n"
        f"print(json.dumps({{'apiVersion': {V1!r}, 'kind': 'ExecCredential', 'status': status}}))\n"
    )
    script.chmod(0o755)
    plugin = {"apiVersion": V1, "command": "./login", "interactiveMode": "Never"}
    client = as_user({"exec": plugin})
    assert client.list(kinds.NAMESPACE).items
    assert client.list(kinds.NAMESPACE).items
    assert (tmp_path / "calls").read_text() == "xx"


def test_a_clients_certificate(as_user: AsUser, api_server: ApiServer) -> None:
    pair = api_server.authority.issue("someone", "/O=system:masters/CN=someone")
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    client = as_user(by_certificate(pair))
    answer = client.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", body)
    assert answer["status"]["userInfo"]["username"] == "someone"


# ── whom to trust ─────────────────────────────────────────────────────────────────────────────


def _with_cluster(api_server: ApiServer, path: Path, **fields: Any) -> Cluster:
    document = json.loads(api_server.kubeconfig.read_text())
    known = document["clusters"][0]["cluster"]
    known.update(fields)
    document["clusters"][0]["cluster"] = {k: v for k, v in known.items() if v is not None}
    path.write_text(json.dumps(document))
    return connect(CONTEXT, {"KUBECONFIG": str(path)}, patience=SHORT)


def test_the_name_in_the_certificate(api_server: ApiServer, tmp_path: Path) -> None:
    name = "kubernetes.default.svc"
    with _with_cluster(api_server, tmp_path / "config", **{"tls-server-name": name}) as client:
        assert client.version()
    name = "elsewhere.example"
    with (
        _with_cluster(api_server, tmp_path / "config", **{"tls-server-name": name}) as client,
        pytest.raises(ClocheError, match="not trusted: it has another name") as caught,
    ):
        client.version()
    assert caught.value.code == "kubernetes.untrusted"


def test_an_authority_that_nobody_knows(api_server: ApiServer, tmp_path: Path) -> None:
    none = {"certificate-authority-data": None}
    with (
        _with_cluster(api_server, tmp_path / "config", **none) as client,
        pytest.raises(ClocheError, match="is not trusted"),
    ):
        client.version()
    insecure = {**none, "insecure-skip-tls-verify": True}
    with _with_cluster(api_server, tmp_path / "config", **insecure) as client:
        assert client.version()


def test_an_authority_that_is_none(api_server: ApiServer, tmp_path: Path) -> None:
    wrong = {"certificate-authority-data": b64encode(b"no certificate").decode()}
    with (
        _with_cluster(api_server, tmp_path / "config", **wrong) as client,
        pytest.raises(UsageError, match="authority's certificate of the kubeconfig"),
    ):
        client.version()


@pytest.mark.parametrize("password", [[], ["-aes256", "-pass", "pass:x"]])
def test_a_key_that_is_not_that_of_the_certificate_or_needs_a_password(
    as_user: AsUser, api_server: ApiServer, password: list[str], tmp_path: Path
) -> None:
    key = tmp_path / "key"
    generate = ["openssl", "genpkey", "-algorithm", "RSA", "-out", str(key), *password]
    subprocess.run(generate, check=True, capture_output=True)
    pair = by_certificate(api_server.authority.issue("someone", "/O=system:masters/CN=someone"))
    pair["client-key-data"] = b64encode(key.read_bytes()).decode()
    with pytest.raises(UsageError, match="client's certificate or its key"):
        as_user(pair).version()


def test_a_key_of_a_kubeconfig_does_not_stay_on_the_disk(
    as_user: AsUser, api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    pair = api_server.authority.issue("someone", "/O=system:masters/CN=someone")
    client = as_user(by_certificate(pair))
    assert client.version()
    assert not list(folder.iterdir())


def test_a_proxy(api_server: ApiServer, tmp_path: Path) -> None:
    tunnelled = []

    class Proxy(Quiet, BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            tunnelled.append(self.path)
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port))) as end:
                self.send_response(200)
                self.end_headers()
                back = threading.Thread(target=_pour, args=(end, self.connection))
                back.start()
                _pour(self.connection, end)
                back.join()

    with serving(Proxy) as port:
        fields = {"proxy-url": f"http://127.0.0.1:{port}", "tls-server-name": "kubernetes"}
        with _with_cluster(api_server, tmp_path / "config", **fields) as client:
            assert client.version()
            with (
                pytest.raises(NotFoundError, match="has no Pod a"),
                client.forward("a", "default", 80),
            ):
                pass
    assert tunnelled == [api_server.url.removeprefix("https://")] * 2


def _pour(source: socket.socket, sink: socket.socket) -> None:
    while block := source.recv(65536):
        sink.sendall(block)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def test_a_server_that_is_not_there(api_server: ApiServer, tmp_path: Path) -> None:
    free = {"server": "https://127.0.0.1:9"}
    with (
        _with_cluster(api_server, tmp_path / "config", **free) as client,
        pytest.raises(UnavailableError, match="nothing answers there") as caught,
    ):
        client.version()
    assert caught.value.retriable


def test_a_server_without_tls(api_server: ApiServer, tmp_path: Path) -> None:
    with serving(Quiet) as port:
        plain = {"server": f"https://127.0.0.1:{port}"}
        with (
            _with_cluster(api_server, tmp_path / "config", **plain) as client,
            pytest.raises(UnavailableError, match="does not speak TLS"),
        ):
            client.version()


def test_a_server_that_is_no_api_server(api_server: ApiServer, tmp_path: Path) -> None:
    etcd = {"server": f"http://127.0.0.1:{api_server.addresses.etcd}"}
    with (
        _with_cluster(api_server, tmp_path / "config", **etcd) as client,
        pytest.raises(ClocheError, match=r"does not serve|does not answer as Kubernetes does"),
    ):
        client.list(kinds.NODE)


def test_kubectl_merges_the_same(api_server: ApiServer, tmp_path: Path) -> None:
    files = []
    for number, names in enumerate((("a", "b"), ("b", "c"), ("c", "a", "d"))):
        users = [{"name": name, "user": {"token": f"{name}{number}"}} for name in names]
        contexts = [{"name": name, "context": {"cluster": f"{number}"}} for name in names]
        documents = {"users": users, "contexts": contexts}
        files.append((tmp_path / f"{number}", documents))
        files[-1][0].write_text(json.dumps(documents))
    listed = os.pathsep.join(str(path) for path, _ in files)
    kubectl = api_server.programs.path("kubectl")
    printed = subprocess.run(
        [kubectl, "config", "view", "--raw", "-o", "json"], env={"KUBECONFIG": listed},
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    theirs, ours = json.loads(printed), merged(files)
    for section, key in (("users", "user"), ("contexts", "context")):
        expected = {one["name"]: one[key] for one in theirs[section]}
        assert {
            name: {"user": "", **entry.fields} if key == "context" else entry.fields
            for name, entry in ours[section].items()
        } == expected
