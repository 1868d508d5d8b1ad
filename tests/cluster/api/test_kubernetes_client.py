"""The client of Kubernetes against a real API server."""

from __future__ import annotations

import itertools
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from base64 import b64encode
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster, connect
from cloche.clients.kubernetes.errors import FieldConflictError, ForbiddenError
from cloche.clients.kubernetes.kubeconfig import merged
from cloche.clients.patience import Patience
from cloche.errors import (
    BusyError,
    ClocheError,
    ConflictError,
    NotFoundError,
    StaleError,
    UnavailableError,
    UsageError,
)
from cluster.harness.access import CONTEXT, by_certificate, write_kubeconfig
from cluster.harness.api_server import ApiServer

Object = dict[str, Any]
V1 = "client.authentication.k8s.io/v1"
SHORT = Patience(pauses=(0.01, 0.02), stall=20)
Trouble = Callable[[BaseHTTPRequestHandler, httpx.Response], None]
_numbers = itertools.count()


@pytest.fixture
def client(api_server: ApiServer) -> Iterator[Cluster]:
    with connect(CONTEXT, {"KUBECONFIG": str(api_server.kubeconfig)}) as client:
        yield client


@pytest.fixture
def namespace(client: Cluster) -> Iterator[str]:
    """A new one; nothing empties or ends it while no controller runs."""
    name = f"client-{next(_numbers)}"
    client.create(kinds.NAMESPACE, {"metadata": {"name": name}})
    yield name
    client.delete(kinds.NAMESPACE, name, None)


@pytest.fixture
def as_user(api_server: ApiServer, tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Connect as a user of a kubeconfig."""
    opened = []

    def connected(user: Mapping[str, Any], url: str = "", **options: Any) -> Cluster:
        path = tmp_path / f"kubeconfig-{len(opened)}"
        authority = api_server.authority.certificate
        write_kubeconfig(path, url or api_server.url, authority, user)
        opened.append(connect(CONTEXT, {**os.environ, "KUBECONFIG": str(path)}, **options))
        return opened[-1]

    yield connected
    for one in opened:
        one.close()


def config_map(name: str, namespace: str, **fields: Any) -> Object:
    metadata = {"name": name, "namespace": namespace, **fields.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **fields}


def deployment(name: str, namespace: str) -> Object:
    labels = {"app": name}
    pod = {"containers": [{"name": "main", "image": "pause"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


# ── objects ───────────────────────────────────────────────────────────────────────────────────


def test_an_object_from_its_making_to_its_end(client: Cluster, namespace: str) -> None:
    assert client.get(kinds.CONFIG_MAP, "a", namespace) is None
    made = client.create(kinds.CONFIG_MAP, config_map("a", namespace, data={"x": "1"}))
    assert client.get(kinds.CONFIG_MAP, "a", namespace) == made
    replaced = client.replace(kinds.CONFIG_MAP, {**made, "data": {"x": "2"}})
    patched = client.patch(kinds.CONFIG_MAP, "a", namespace, {"data": {"y": "3"}})
    assert replaced["data"] == {"x": "2"}
    assert patched["data"] == {"x": "2", "y": "3"}
    assert client.delete(kinds.CONFIG_MAP, "a", namespace)
    assert not client.delete(kinds.CONFIG_MAP, "a", namespace)


def test_a_dry_run_changes_nothing(client: Cluster, namespace: str) -> None:
    body = config_map("a", namespace, data={"x": "1"})
    assert client.create(kinds.CONFIG_MAP, body, dry_run=True)["data"] == {"x": "1"}
    assert client.apply(kinds.CONFIG_MAP, body, dry_run=True)["data"] == {"x": "1"}
    assert client.get(kinds.CONFIG_MAP, "a", namespace) is None


def test_who_read_an_old_version_changes_nothing(client: Cluster, namespace: str) -> None:
    body = config_map("a", namespace, data={"x": "1"})
    old = client.create(kinds.CONFIG_MAP, body)
    client.patch(kinds.CONFIG_MAP, "a", namespace, {"data": {"x": "2"}})
    uid, version = old["metadata"]["uid"], old["metadata"]["resourceVersion"]
    versioned = {"metadata": {"resourceVersion": version}, "data": {"x": "3"}}
    attempts: list[Callable[[], Any]] = [
        lambda: client.create(kinds.CONFIG_MAP, body),
        lambda: client.replace(kinds.CONFIG_MAP, old),
        lambda: client.patch(kinds.CONFIG_MAP, "a", namespace, versioned),
        lambda: client.apply(
            kinds.CONFIG_MAP, config_map("a", namespace, metadata=versioned["metadata"])
        ),
        lambda: client.apply(
            kinds.CONFIG_MAP, config_map("a", namespace, metadata={"uid": "another"})
        ),
        lambda: client.delete(kinds.CONFIG_MAP, "a", namespace, version=version),
        lambda: client.delete(kinds.CONFIG_MAP, "a", namespace, uid="another"),
    ]
    for attempt in attempts:
        with pytest.raises(StaleError):
            attempt()
    assert client.delete(kinds.CONFIG_MAP, "a", namespace, uid=uid)


def test_a_field_that_another_owns_is_taken_by_force_alone(
    client: Cluster, namespace: str, api_server: ApiServer
) -> None:
    theirs = config_map("a", namespace, data={"x": "theirs", "y": "theirs"})
    api_server.kubectl.apply(json.dumps(theirs))
    ours = config_map("a", namespace, data={"x": "ours", "z": "ours"})
    with pytest.raises(FieldConflictError, match=r"\.data\.x belongs to kubectl") as caught:
        client.apply(kinds.CONFIG_MAP, ours)
    assert caught.value.conflicts == ((".data.x", "kubectl"),)
    applied = client.apply(kinds.CONFIG_MAP, ours, force=True)
    assert applied["data"] == {"x": "ours", "y": "theirs", "z": "ours"}
    again = client.apply(kinds.CONFIG_MAP, ours)
    assert again["metadata"]["resourceVersion"] == applied["metadata"]["resourceVersion"]


def test_a_field_that_cloche_itself_wrote_is_no_conflict(client: Cluster, namespace: str) -> None:
    client.create(kinds.CONFIG_MAP, config_map("a", namespace, data={"x": "1"}))
    applied = client.apply(kinds.CONFIG_MAP, config_map("a", namespace, data={"x": "2"}))
    assert applied["data"] == {"x": "2"}


def test_an_unknown_field_is_never_dropped(client: Cluster, namespace: str) -> None:
    body = deployment("a", namespace)
    body["spec"]["template"]["spec"]["containers"][0]["imagePullPolicies"] = "Always"
    for write in (client.create, client.apply):
        with pytest.raises(UsageError, match="imagePullPolicies") as caught:
            write(kinds.DEPLOYMENT, body)
        assert caught.value.code == "kubernetes.unknown_field"
    client.apply(kinds.DEPLOYMENT, deployment("a", namespace))
    with pytest.raises(UsageError, match="nope"):
        client.patch(kinds.DEPLOYMENT, "a", namespace, {"spec": {"nope": 1}})


def test_a_wrong_value_is_told_by_field(client: Cluster, namespace: str) -> None:
    body = deployment("a", namespace)
    body["spec"]["template"]["spec"]["containers"][0]["name"] = "Main"
    body["spec"]["replicas"] = -1
    with pytest.raises(UsageError, match=r"\nspec\.replicas: .*\n.*containers\[0\]\.name: "):
        client.apply(kinds.DEPLOYMENT, body)
    body["spec"]["replicas"] = "two"
    with pytest.raises(UsageError, match=r"spec\.replicas: expected numeric"):
        client.apply(kinds.DEPLOYMENT, body)


def test_what_cannot_change_is_told(client: Cluster, namespace: str) -> None:
    client.apply(kinds.DEPLOYMENT, deployment("a", namespace))
    other = {**deployment("b", namespace), "metadata": {"name": "a", "namespace": namespace}}
    with pytest.raises(UsageError, match=r"spec\.selector: .*immutable") as caught:
        client.apply(kinds.DEPLOYMENT, other, force=True)
    assert "delete the object first" in (caught.value.hint or "")


def test_scale_changes_the_replicas_alone(client: Cluster, namespace: str) -> None:
    client.apply(kinds.DEPLOYMENT, deployment("a", namespace))
    client.scale(kinds.DEPLOYMENT, "a", namespace, 3)
    found = client.get(kinds.DEPLOYMENT, "a", namespace)
    assert found is not None
    assert found["spec"]["replicas"] == 3
    again = client.apply(kinds.DEPLOYMENT, deployment("a", namespace))
    assert again["spec"]["replicas"] == 3


def test_lists_are_whole_whatever_their_length(client: Cluster, namespace: str) -> None:
    names = {f"m{number:03}" for number in range(230)}
    for name in sorted(names):
        labels = {"labels": {"even": str(int(name[1:]) % 2 == 0).lower()}}
        client.create(kinds.CONFIG_MAP, config_map(name, namespace, metadata=labels))
    found = client.list(kinds.CONFIG_MAP, namespace)
    assert {item["metadata"]["name"] for item in found.items} == names
    assert {(item["apiVersion"], item["kind"]) for item in found.items} == {("v1", "ConfigMap")}
    assert len(client.list(kinds.CONFIG_MAP, namespace, labels="even=true").items) == 115
    assert len(client.list(kinds.CONFIG_MAP, labels="even=false").items) >= 115


def test_what_the_cluster_is(client: Cluster) -> None:
    assert client.version().startswith("v1.")
    assert client.serves(kinds.DEPLOYMENT)
    assert client.serves(kinds.DEPLOYMENT)
    assert not client.serves(kinds.HTTP_ROUTE)
    assert not client.serves(kinds.Kind("apps", "v1", "Nothing", "nothings"))
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = client.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", body)
    assert answer["status"]["userInfo"]["username"] == "admin"


def test_a_plugin_for_a_kind_that_is_not_there(client: Cluster, namespace: str) -> None:
    for ask in (
        lambda: client.get(kinds.HTTP_ROUTE, "a", namespace),
        lambda: client.list(kinds.HTTP_ROUTE, namespace),
        lambda: next(client.watch(kinds.HTTP_ROUTE, namespace)),
    ):
        with pytest.raises(NotFoundError, match="does not serve") as caught:
            ask()
        assert caught.value.code == "kubernetes.not_served"


# ── refusals ──────────────────────────────────────────────────────────────────────────────────


def test_a_missing_namespace(client: Cluster) -> None:
    for write in (client.create, client.apply):
        with pytest.raises(NotFoundError, match="has no namespace none") as caught:
            write(kinds.CONFIG_MAP, config_map("a", "none"))
        assert "create namespace none" in (caught.value.hint or "")


def test_a_namespace_that_ends(client: Cluster, namespace: str) -> None:
    client.delete(kinds.NAMESPACE, namespace, None)
    for write in (client.create, client.apply):
        with pytest.raises(BusyError, match="being deleted"):
            write(kinds.CONFIG_MAP, config_map("a", namespace))


def test_a_full_quota(client: Cluster, namespace: str) -> None:
    hard = {"count/configmaps": "1"}
    quota = {"metadata": {"name": "few", "namespace": namespace}, "spec": {"hard": hard}}
    client.create(kinds.RESOURCE_QUOTA, quota)
    status = {"status": {"hard": hard, "used": hard}}
    client.patch(kinds.RESOURCE_QUOTA, "few", namespace, status, subresource="status")
    with pytest.raises(ConflictError, match="exceeded quota: few") as caught:
        for _ in range(1000):  # the API server learns of a quota a moment after it is made
            client.create(kinds.CONFIG_MAP, config_map("a", namespace), dry_run=True)
    assert caught.value.code == "kubernetes.quota"


def test_a_pod_below_the_security_of_its_namespace(client: Cluster, namespace: str) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    client.patch(kinds.NAMESPACE, namespace, None, {"metadata": {"labels": labels}})
    pod = {"containers": [{"name": "main", "image": "pause"}]}
    with pytest.raises(ClocheError, match="violates PodSecurity") as caught:
        client.create(kinds.POD, {"metadata": {"name": "a", "namespace": namespace}, "spec": pod})
    assert caught.value.code == "kubernetes.admission"


def test_a_webhook_that_refuses(client: Cluster, namespace: str, api_server: ApiServer) -> None:
    kind = kinds.Kind(
        "admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations", namespaced=False,
    )  # fmt: skip
    with _refusing(api_server, "not on Fridays") as url:
        authority = b64encode(api_server.authority.certificate.read_bytes()).decode()
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
        hook = {
            "name": "no.example.org",
            "clientConfig": {"url": url, "caBundle": authority},
            "rules": [{**rule, "operations": ["CREATE"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        client.create(kind, {"metadata": {"name": namespace}, "webhooks": [hook]})
        try:
            _until_refused(client, namespace, "not on Fridays")
        finally:
            client.delete(kind, namespace, None)


def _until_refused(client: Cluster, namespace: str, words: str) -> None:
    """Create objects until the API server has read its webhooks."""

    def create() -> None:
        for number in range(10_000):
            client.create(kinds.CONFIG_MAP, config_map(f"a{number}", namespace))

    with pytest.raises(ClocheError, match=words) as caught:
        create()
    assert caught.value.code == "kubernetes.admission"


@contextmanager
def _refusing(api_server: ApiServer, message: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            response = {"uid": review["request"]["uid"], "allowed": False}
            review["response"] = {**response, "status": {"message": message}}
            _answer(self, 200, json.dumps(review).encode())

        def log_message(self, *_: object) -> None:
            pass

    pair = api_server.authority.issue("webhook", "/CN=webhook", ["IP:127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with _serving(Handler, context) as port:
        yield f"https://127.0.0.1:{port}/"


@contextmanager
def _serving(
    handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None
) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def _answer(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", **headers}.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


# ── who asks ──────────────────────────────────────────────────────────────────────────────────


def test_a_missing_right_names_user_verb_resource_and_namespace(
    api_server: ApiServer, namespace: str
) -> None:
    environment = {"KUBECONFIG": str(api_server.kubeconfig_of("ann"))}
    with connect(CONTEXT, environment) as ann:
        with pytest.raises(ForbiddenError) as caught:
            ann.apply(kinds.DEPLOYMENT, deployment("a", namespace))
        assert caught.value.what == f"ann may not patch deployments.apps in namespace {namespace}."
        with pytest.raises(ForbiddenError, match=r"ann may not list nodes\."):
            ann.list(kinds.NODE)
        with pytest.raises(ForbiddenError, match=r"ann may not get pods/log in namespace"):
            list(ann.log("a", namespace, "main"))
        with (
            pytest.raises(ForbiddenError, match=r"ann may not \w+ pods/portforward in namespace"),
            ann.forward("a", namespace, 80),
        ):
            pass


def test_somebody_else_is_impersonated(as_user: Any, api_server: ApiServer) -> None:
    user = {
        "token": api_server.token,
        "as": "bob",
        "as-groups": ["readers", "system:authenticated"],
    }
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = as_user(user).post("/apis/authentication.k8s.io/v1/selfsubjectreviews", body)
    info = answer["status"]["userInfo"]
    assert (info["username"], info["groups"]) == ("bob", ["readers", "system:authenticated"])


def test_a_wrong_token(as_user: Any) -> None:
    with pytest.raises(ClocheError, match="wrong or have expired") as caught:
        as_user({"token": "a-wrong-one"}).version()
    assert caught.value.code == "kubernetes.unauthorized"
    assert "a-wrong-one" not in str(caught.value.to_dict())


def test_a_token_file_that_was_written_anew(
    as_user: Any, api_server: ApiServer, tmp_path: Path, namespace: str
) -> None:
    path = tmp_path / "token"
    path.write_text("expired")
    client = as_user({"tokenFile": str(path)})
    with pytest.raises(ClocheError, match="wrong or have expired"):
        client.list(kinds.CONFIG_MAP, namespace)
    path.write_text(api_server.token)
    assert client.list(kinds.CONFIG_MAP, namespace).items == []


@pytest.mark.parametrize("shown", ["token", "certificate"])
def test_a_plugin_is_asked_once_more_when_its_credentials_are_refused(
    as_user: Any, api_server: ApiServer, tmp_path: Path, shown: str
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


def test_a_clients_certificate(as_user: Any, api_server: ApiServer) -> None:
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
    as_user: Any, api_server: ApiServer, password: list[str], tmp_path: Path
) -> None:
    key = tmp_path / "key"
    generate = ["openssl", "genpkey", "-algorithm", "RSA", "-out", str(key), *password]
    subprocess.run(generate, check=True, capture_output=True)
    pair = by_certificate(api_server.authority.issue("someone", "/O=system:masters/CN=someone"))
    pair["client-key-data"] = b64encode(key.read_bytes()).decode()
    with pytest.raises(UsageError, match="client's certificate or its key"):
        as_user(pair).version()


def test_a_key_of_a_kubeconfig_does_not_stay_on_the_disk(
    as_user: Any, api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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

    class Proxy(BaseHTTPRequestHandler):
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

        def log_message(self, *_: object) -> None:
            pass

    with _serving(Proxy) as port:
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
    with _serving(BaseHTTPRequestHandler) as port:
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


# ── an API server that is away, slow or breaks off ────────────────────────────────────────────


class _Between:
    """Stands before a real API server; some answers never arrive, or are others."""

    def __init__(self) -> None:
        self.troubles: list[Trouble] = []
        """What happens instead of the next answers, after the server has done what was asked."""
        self.asked: list[str] = []

    @contextmanager
    def before(self, api_server: ApiServer) -> Iterator[str]:
        trust = ssl.create_default_context(cafile=str(api_server.authority.certificate))
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                between.asked.append(self.command)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {
                    name: value
                    for name in ("Authorization", "Content-Type", "Accept")
                    if (value := self.headers.get(name))
                }
                answer = client.request(self.command, self.path, content=body, headers=headers)
                trouble = between.troubles.pop(0) if between.troubles else _pass_on
                trouble(self, answer)

            def do_GET(self) -> None:
                self._pass()

            def do_POST(self) -> None:
                self._pass()

            def do_PUT(self) -> None:
                self._pass()

            def do_PATCH(self) -> None:
                self._pass()

            def log_message(self, *_: object) -> None:
                pass

        base = api_server.url
        with (
            httpx.Client(base_url=base, verify=trust, trust_env=False) as client,
            _serving(Handler) as port,
        ):
            yield f"http://127.0.0.1:{port}"


def _pass_on(handler: BaseHTTPRequestHandler, answer: httpx.Response) -> None:
    _answer(handler, answer.status_code, answer.content)


def _hang_up(handler: BaseHTTPRequestHandler, _: httpx.Response) -> None:
    handler.close_connection = True


def _busy(handler: BaseHTTPRequestHandler, _: httpx.Response) -> None:
    _answer(handler, 429, b"too many", **{"Retry-After": "0"})


@pytest.fixture
def between(api_server: ApiServer) -> Iterator[tuple[_Between, str]]:
    between = _Between()
    with between.before(api_server) as url:
        yield between, url


@pytest.mark.parametrize("trouble", [_hang_up, _busy])
def test_what_can_be_repeated_is_asked_again(
    between: tuple[_Between, str], as_user: Any, api_server: ApiServer, namespace: str,
    trouble: Trouble,
) -> None:  # fmt: skip
    troubles, url = between[0].troubles, between[1]
    client = as_user({"token": api_server.token}, url, patience=SHORT)
    body = config_map("a", namespace, data={"x": "1"})
    troubles.append(trouble)
    made = client.create(kinds.CONFIG_MAP, body)
    troubles.append(trouble)
    replaced = client.replace(kinds.CONFIG_MAP, {**made, "data": {"x": "2"}})
    assert replaced["metadata"]["uid"] == made["metadata"]["uid"]
    assert replaced["data"] == {"x": "2"}
    troubles.append(trouble)
    assert client.list(kinds.CONFIG_MAP, namespace).items
    troubles.append(trouble)
    client.apply(kinds.CONFIG_MAP, config_map("a", namespace, data={"y": "3"}))
    assert not troubles


def test_a_lost_answer_to_a_write_that_another_overtook_is_stale(
    between: tuple[_Between, str], as_user: Any, api_server: ApiServer, namespace: str,
    client: Cluster,
) -> None:  # fmt: skip
    asking = as_user({"token": api_server.token}, between[1], patience=SHORT)
    made = client.create(kinds.CONFIG_MAP, config_map("a", namespace, data={"x": "1"}))

    def overtake(handler: BaseHTTPRequestHandler, answer: httpx.Response) -> None:
        client.patch(kinds.CONFIG_MAP, "a", namespace, {"data": {"x": "theirs"}})
        _hang_up(handler, answer)

    between[0].troubles.append(overtake)
    with pytest.raises(StaleError):
        asking.replace(kinds.CONFIG_MAP, {**made, "data": {"x": "ours"}})


def test_a_list_whose_version_is_forgotten_between_two_pages_begins_anew(
    between: tuple[_Between, str], as_user: Any, api_server: ApiServer, namespace: str,
    client: Cluster,
) -> None:  # fmt: skip
    asking = as_user({"token": api_server.token}, between[1], patience=SHORT)
    for number in range(120):
        client.create(kinds.CONFIG_MAP, config_map(f"m{number}", namespace))
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}

    def forget(handler: BaseHTTPRequestHandler, _: httpx.Response) -> None:
        _answer(handler, 410, json.dumps(status).encode())

    between[0].troubles += [_pass_on, forget]
    names = {item["metadata"]["name"] for item in asking.list(kinds.CONFIG_MAP, namespace).items}
    assert names == {f"m{number}" for number in range(120)}
    assert len(between[0].asked) == 4
    between[0].troubles += [_pass_on, forget] * 3
    with pytest.raises(UnavailableError, match="no longer knows"):
        asking.list(kinds.CONFIG_MAP, namespace)


def test_patience_has_an_end(
    between: tuple[_Between, str], as_user: Any, api_server: ApiServer
) -> None:
    asking = as_user({"token": api_server.token}, between[1], patience=SHORT)
    between[0].troubles += [_busy, _hang_up, _busy, _busy]
    with pytest.raises(UnavailableError, match="status 429"):
        asking.version()
    assert between[0].asked == ["GET"] * 3


def test_an_api_server_that_starts_anew_loses_no_change(api_server: ApiServer) -> None:
    with (
        ApiServer(api_server.programs) as own,
        connect(CONTEXT, {"KUBECONFIG": str(own.kubeconfig)}) as client,
    ):
        known = _names_until(client, "before")
        next(known)
        client.create(kinds.CONFIG_MAP, config_map("gone", "default"))
        client.create(kinds.CONFIG_MAP, config_map("before", "default"))
        assert "gone" in next(known)
        own.api.signal(9)
        own.api.stop()
        again = threading.Thread(target=own.start)
        again.start()
        try:
            assert client.list(kinds.CONFIG_MAP, "default").items
            client.delete(kinds.CONFIG_MAP, "gone", "default")
            client.create(kinds.CONFIG_MAP, config_map("after", "default"))
            last = known.send("after")
        finally:
            again.join()
        assert {"before", "after"} <= last
        assert "gone" not in last
        with pytest.raises(StaleError, match="no longer knows"):
            list(client.watch(kinds.CONFIG_MAP, "default", version="1", seconds=30))


def _names_until(client: Cluster, name: str) -> Generator[set[str], str, None]:
    """Yield the objects that are there, at first and then when the one of a name is."""
    awaited = ""
    while True:
        listing = client.list(kinds.CONFIG_MAP, "default")
        names = {item["metadata"]["name"] for item in listing.items}
        if not awaited or awaited in names:
            yield names
            awaited = name
        with suppress(StaleError):
            for change in client.watch(kinds.CONFIG_MAP, "default", version=listing.version):
                changed = change.object["metadata"]["name"]
                names = names - {changed} if change.type == "DELETED" else names | {changed}
                if changed == awaited:
                    awaited = (yield names) or awaited


# ── watching ──────────────────────────────────────────────────────────────────────────────────


def test_a_watch_begins_with_what_is_there_and_ends_in_time(
    client: Cluster, namespace: str
) -> None:
    for name in ("a", "b"):
        labels = {"labels": {"app": name}}
        client.create(kinds.CONFIG_MAP, config_map(name, namespace, metadata=labels))
    changes = client.watch(kinds.CONFIG_MAP, namespace, labels="app in (a, c)", seconds=1)
    assert [(change.type, change.object["metadata"]["name"]) for change in changes] == [
        ("ADDED", "a")
    ]


def test_closing_ends_what_another_thread_watches(api_server: ApiServer, namespace: str) -> None:
    client = connect(CONTEXT, {"KUBECONFIG": str(api_server.kubeconfig)})
    client.create(kinds.CONFIG_MAP, config_map("a", namespace))
    changes = client.watch(kinds.CONFIG_MAP, namespace)
    version = next(changes).version
    errors: list[ClocheError] = []

    def watch() -> None:
        try:
            for change in client.watch(kinds.CONFIG_MAP, namespace, version=version):
                if change.object["metadata"]["name"] == "b":
                    opened.set()
        except ClocheError as error:
            errors.append(error)

    opened = threading.Event()
    thread = threading.Thread(target=watch)
    thread.start()
    client.create(kinds.CONFIG_MAP, config_map("b", namespace))
    assert opened.wait(30)
    client.close()
    thread.join(30)
    assert [error.code for error in errors] == ["kubernetes.stopped"]
    with pytest.raises(ClocheError, match="was stopped"):
        client.version()


def test_the_log_of_a_pod_that_is_not_there(client: Cluster, namespace: str) -> None:
    with pytest.raises(NotFoundError, match=f"has no Pod a in namespace {namespace}"):
        list(client.log("a", namespace, "main"))
    with (
        pytest.raises(NotFoundError, match=f"has no Pod a in namespace {namespace}"),
        client.forward("a", namespace, 80),
    ):
        pass
