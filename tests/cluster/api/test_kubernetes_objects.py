"""Objects of a real API server, and what it refuses."""

from __future__ import annotations

import json
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest

from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster
from cloche.clients.kubernetes.errors import FieldConflictError
from cloche.errors import (
    BusyError,
    ClocheError,
    ConflictError,
    NotFoundError,
    StaleError,
    UsageError,
)
from cluster.harness.api_server import ApiServer
from fixtures.kubernetes_client import Quiet, config_map, deployment, serving

V1 = "client.authentication.k8s.io/v1"
Trouble = Callable[[Quiet, httpx.Response], None]


# ── objects ───────────────────────────────────────────────────────────────────────────────────


def test_an_object_from_its_making_to_its_end(client: Cluster, api_namespace: str) -> None:
    assert client.get(kinds.CONFIG_MAP, "a", api_namespace) is None
    made = client.create(kinds.CONFIG_MAP, config_map("a", api_namespace, data={"x": "1"}))
    assert client.get(kinds.CONFIG_MAP, "a", api_namespace) == made
    replaced = client.replace(kinds.CONFIG_MAP, {**made, "data": {"x": "2"}})
    patched = client.patch(kinds.CONFIG_MAP, "a", api_namespace, {"data": {"y": "3"}})
    assert replaced["data"] == {"x": "2"}
    assert patched["data"] == {"x": "2", "y": "3"}
    assert client.delete(kinds.CONFIG_MAP, "a", api_namespace)
    assert not client.delete(kinds.CONFIG_MAP, "a", api_namespace)


def test_a_dry_run_changes_nothing(client: Cluster, api_namespace: str) -> None:
    body = config_map("a", api_namespace, data={"x": "1"})
    assert client.create(kinds.CONFIG_MAP, body, dry_run=True)["data"] == {"x": "1"}
    assert client.apply(kinds.CONFIG_MAP, body, dry_run=True)["data"] == {"x": "1"}
    assert client.get(kinds.CONFIG_MAP, "a", api_namespace) is None


def test_who_read_an_old_version_changes_nothing(client: Cluster, api_namespace: str) -> None:
    body = config_map("a", api_namespace, data={"x": "1"})
    old = client.create(kinds.CONFIG_MAP, body)
    client.patch(kinds.CONFIG_MAP, "a", api_namespace, {"data": {"x": "2"}})
    uid, version = old["metadata"]["uid"], old["metadata"]["resourceVersion"]
    versioned = {"metadata": {"resourceVersion": version}, "data": {"x": "3"}}
    attempts: list[Callable[[], Any]] = [
        lambda: client.create(kinds.CONFIG_MAP, body),
        lambda: client.replace(kinds.CONFIG_MAP, old),
        lambda: client.patch(kinds.CONFIG_MAP, "a", api_namespace, versioned),
        lambda: client.apply(
            kinds.CONFIG_MAP, config_map("a", api_namespace, metadata=versioned["metadata"])
        ),
        lambda: client.apply(
            kinds.CONFIG_MAP, config_map("a", api_namespace, metadata={"uid": "another"})
        ),
        lambda: client.delete(kinds.CONFIG_MAP, "a", api_namespace, version=version),
        lambda: client.delete(kinds.CONFIG_MAP, "a", api_namespace, uid="another"),
    ]
    for attempt in attempts:
        with pytest.raises(StaleError):
            attempt()
    assert client.delete(kinds.CONFIG_MAP, "a", api_namespace, uid=uid)


def test_a_field_that_another_owns_is_taken_by_force_alone(
    client: Cluster, api_namespace: str, api_server: ApiServer
) -> None:
    theirs = config_map("a", api_namespace, data={"x": "theirs", "y": "theirs"})
    api_server.kubectl.apply(json.dumps(theirs))
    ours = config_map("a", api_namespace, data={"x": "ours", "z": "ours"})
    with pytest.raises(FieldConflictError, match=r"\.data\.x belongs to kubectl") as caught:
        client.apply(kinds.CONFIG_MAP, ours)
    assert caught.value.conflicts == ((".data.x", "kubectl"),)
    applied = client.apply(kinds.CONFIG_MAP, ours, force=True)
    assert applied["data"] == {"x": "ours", "y": "theirs", "z": "ours"}
    again = client.apply(kinds.CONFIG_MAP, ours)
    assert again["metadata"]["resourceVersion"] == applied["metadata"]["resourceVersion"]


def test_a_field_that_cloche_wrote_is_no_conflict(client: Cluster, api_namespace: str) -> None:
    client.create(kinds.CONFIG_MAP, config_map("a", api_namespace, data={"x": "1"}))
    applied = client.apply(kinds.CONFIG_MAP, config_map("a", api_namespace, data={"x": "2"}))
    assert applied["data"] == {"x": "2"}


def test_an_unknown_field_is_never_dropped(client: Cluster, api_namespace: str) -> None:
    body = deployment("a", api_namespace)
    body["spec"]["template"]["spec"]["containers"][0]["imagePullPolicies"] = "Always"
    for write in (client.create, client.apply):
        with pytest.raises(UsageError, match="imagePullPolicies") as caught:
            write(kinds.DEPLOYMENT, body)
        assert caught.value.code == "kubernetes.unknown_field"
    client.apply(kinds.DEPLOYMENT, deployment("a", api_namespace))
    with pytest.raises(UsageError, match="nope"):
        client.patch(kinds.DEPLOYMENT, "a", api_namespace, {"spec": {"nope": 1}})


def test_a_wrong_value_is_told_by_field(client: Cluster, api_namespace: str) -> None:
    body = deployment("a", api_namespace)
    body["spec"]["template"]["spec"]["containers"][0]["name"] = "Main"
    body["spec"]["replicas"] = -1
    with pytest.raises(UsageError, match=r"\nspec\.replicas: .*\n.*containers\[0\]\.name: "):
        client.apply(kinds.DEPLOYMENT, body)
    body["spec"]["replicas"] = "two"
    with pytest.raises(UsageError, match=r"spec\.replicas: expected numeric"):
        client.apply(kinds.DEPLOYMENT, body)


def test_what_cannot_change_is_told(client: Cluster, api_namespace: str) -> None:
    client.apply(kinds.DEPLOYMENT, deployment("a", api_namespace))
    other = {
        **deployment("b", api_namespace),
        "metadata": {"name": "a", "namespace": api_namespace},
    }
    with pytest.raises(UsageError, match=r"spec\.selector: .*immutable") as caught:
        client.apply(kinds.DEPLOYMENT, other, force=True)
    assert "delete the object first" in (caught.value.hint or "")


def test_scale_changes_the_replicas_alone(client: Cluster, api_namespace: str) -> None:
    client.apply(kinds.DEPLOYMENT, deployment("a", api_namespace))
    three = {"spec": {"replicas": 3}}
    client.patch(kinds.DEPLOYMENT, "a", api_namespace, three, subresource="scale")
    found = client.get(kinds.DEPLOYMENT, "a", api_namespace)
    assert found is not None
    assert found["spec"]["replicas"] == 3
    again = client.apply(kinds.DEPLOYMENT, deployment("a", api_namespace))
    assert again["spec"]["replicas"] == 3


def test_lists_are_whole_whatever_their_length(client: Cluster, api_namespace: str) -> None:
    names = {f"m{number:03}" for number in range(230)}
    for name in sorted(names):
        labels = {"labels": {"even": str(int(name[1:]) % 2 == 0).lower()}}
        client.create(kinds.CONFIG_MAP, config_map(name, api_namespace, metadata=labels))
    found = client.list(kinds.CONFIG_MAP, api_namespace)
    assert {item["metadata"]["name"] for item in found.items} == names
    assert {(item["apiVersion"], item["kind"]) for item in found.items} == {("v1", "ConfigMap")}
    last = client.apply(kinds.CONFIG_MAP, config_map("c", api_namespace))["metadata"]
    since = client.list(kinds.CONFIG_MAP, api_namespace, since=last["resourceVersion"])
    assert {item["metadata"]["name"] for item in since.items} == names | {"c"}
    assert int(since.version) >= int(last["resourceVersion"])
    assert len(client.list(kinds.CONFIG_MAP, api_namespace, labels="even=true").items) == 115
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


def test_a_plugin_for_a_kind_that_is_not_there(client: Cluster, api_namespace: str) -> None:
    for ask in (
        lambda: client.get(kinds.HTTP_ROUTE, "a", api_namespace),
        lambda: client.list(kinds.HTTP_ROUTE, api_namespace),
        lambda: next(client.watch(kinds.HTTP_ROUTE, api_namespace)),
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


def test_a_namespace_that_ends(client: Cluster, api_namespace: str) -> None:
    client.delete(kinds.NAMESPACE, api_namespace, None)
    for write in (client.create, client.apply):
        with pytest.raises(BusyError, match="being deleted"):
            write(kinds.CONFIG_MAP, config_map("a", api_namespace))


def test_a_full_quota(client: Cluster, api_namespace: str) -> None:
    hard = {"count/configmaps": "1"}
    quota = {"metadata": {"name": "few", "namespace": api_namespace}, "spec": {"hard": hard}}
    client.create(kinds.RESOURCE_QUOTA, quota)
    status = {"status": {"hard": hard, "used": hard}}
    client.patch(kinds.RESOURCE_QUOTA, "few", api_namespace, status, subresource="status")
    with pytest.raises(ConflictError, match="exceeded quota: few") as caught:
        _create_until_refused(client, api_namespace)
    assert caught.value.code == "kubernetes.quota"


def test_a_pod_below_the_security_of_its_namespace(client: Cluster, api_namespace: str) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    client.patch(kinds.NAMESPACE, api_namespace, None, {"metadata": {"labels": labels}})
    pod = {"containers": [{"name": "main", "image": "pause"}]}
    with pytest.raises(ClocheError, match="violates PodSecurity") as caught:
        client.create(
            kinds.POD, {"metadata": {"name": "a", "namespace": api_namespace}, "spec": pod}
        )
    assert caught.value.code == "kubernetes.admission"


def test_a_webhook_that_refuses(client: Cluster, api_namespace: str, api_server: ApiServer) -> None:
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
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": api_namespace}},
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        client.create(kind, {"metadata": {"name": api_namespace}, "webhooks": [hook]})
        try:
            with pytest.raises(ClocheError, match="not on Fridays") as caught:
                _create_until_refused(client, api_namespace)
            assert caught.value.code == "kubernetes.admission"
        finally:
            client.delete(kind, api_namespace, None)


def _create_until_refused(client: Cluster, namespace: str) -> None:
    """The API server learns of a quota or a webhook a moment after it is made."""
    for number in range(10_000):
        client.create(kinds.CONFIG_MAP, config_map(f"a{number}", namespace), dry_run=True)


@contextmanager
def _refusing(api_server: ApiServer, message: str) -> Iterator[str]:
    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            response = {"uid": review["request"]["uid"], "allowed": False}
            review["response"] = {**response, "status": {"message": message}}
            self.answer(200, json.dumps(review).encode())

    pair = api_server.authority.issue("webhook", "/CN=webhook", ["IP:127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with serving(Handler, context) as port:
        yield f"https://127.0.0.1:{port}/"
