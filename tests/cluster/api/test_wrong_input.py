"""What is refused before anything changes, by the command line, against an API server alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster
from cloche.clients.kubernetes.kinds import Kind
from cloche.state.kubernetes.names import SCHEMA, Part, labels, object_name
from cluster.harness.access import CONTEXT, write_kubeconfig
from cluster.harness.api_server import ApiServer
from fixtures.command_line import User, a_user, scaled_maximum
from fixtures.commands import Outcome

NOWHERE = "127.0.0.1:1/vision"
"""A registry that is asked only once nothing else is wrong."""
EVERY = (
    kinds.DEPLOYMENT, kinds.SERVICE, kinds.CONFIG_MAP, kinds.CONTROLLER_REVISION,
    kinds.SERVICE_ACCOUNT, kinds.NETWORK_POLICY, kinds.LEASE,
)  # fmt: skip
Deploy = Callable[..., Any]


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """Somebody with a model."""
    with a_user() as user:
        scaled_maximum(user.folder / "model.onnx", 2)
        yield user


@pytest.fixture
def declare(user: User, namespace: str) -> Callable[..., None]:
    """Write the cloche.yaml of the service digits, whose target is the namespace."""

    def write(**target: Any) -> None:
        place = {
            "kind": "kubernetes", "context": CONTEXT, "namespace": namespace,
            "registry": NOWHERE, "base": "cpu", **target,
        }  # fmt: skip
        text = {"name": "digits", "model": "./model.onnx", "targets": {"test": place}}
        (user.folder / "cloche.yaml").write_text(json.dumps(text))

    write()
    return write


@pytest.fixture
def run(user: User, api_server: ApiServer, declare: object) -> Callable[..., Outcome]:
    def command(*words: str, kubeconfig: Path = api_server.kubeconfig) -> Outcome:
        return user.run(*words, "--target", "test", "--json", KUBECONFIG=str(kubeconfig))

    return command


@pytest.fixture
def refused(run: Callable[..., Outcome], api_cluster: Cluster, namespace: str) -> Deploy:
    """Deploy, which is refused with nothing written to the namespace; return the error."""

    def deploy(*words: str, code: int = 1, **where: Path) -> Any:
        before = written(api_cluster, namespace)
        error = run("deploy", *words, **where).expect(code).json["error"]
        assert written(api_cluster, namespace) == before
        assert error["hint"] or error["errors"]
        return error

    return deploy


@pytest.fixture
def keep(api_cluster: Cluster, namespace: str) -> Callable[..., None]:
    """Write the record of a service, whatever it is."""

    def write(service: str, text: str, schema: str = "1") -> None:
        metadata = {
            "name": object_name(service, Part.RECORD), "namespace": namespace,
            "labels": labels(service, Part.RECORD), "annotations": {SCHEMA: schema},
        }  # fmt: skip
        api_cluster.create(kinds.CONFIG_MAP, {"metadata": metadata, "data": {"record.json": text}})

    return write


def written(cluster: Cluster, namespace: str) -> set[tuple[str, str]]:
    return {
        (kind.name, each["metadata"]["resourceVersion"])
        for kind in EVERY
        for each in cluster.list(kind, namespace).items
        if each["metadata"]["name"] != "kube-root-ca.crt"
    }


def test_no_kubeconfig(refused: Deploy, tmp_path: Path) -> None:
    error = refused(kubeconfig=tmp_path / "nothing", code=2)
    assert error["code"] == "kubernetes.kubeconfig"
    assert str(tmp_path / "nothing") in f"{error['what']} {error['where']}"


def test_a_context_that_is_not_there(refused: Deploy, declare: Callable[..., None]) -> None:
    declare(context="prod")
    error = refused()
    assert error["code"] == "kubernetes.context"
    assert "prod" in error["what"]
    assert CONTEXT in error["hint"]


def test_an_expired_token(refused: Deploy, api_server: ApiServer, tmp_path: Path) -> None:
    authority = api_server.authority.certificate
    path = write_kubeconfig(tmp_path / "old", api_server.url, authority, {"token": "secret-1234"})
    error = refused(kubeconfig=path)
    assert error["code"] == "kubernetes.unauthorized"
    assert CONTEXT in error["where"]
    assert "secret-1234" not in json.dumps(error)


def test_no_rights(refused: Deploy, api_server: ApiServer) -> None:
    error = refused(kubeconfig=api_server.kubeconfig_of("nobody", "guests"))
    assert error["code"] == "kubernetes.rights"
    whats = [each["what"] for each in error["errors"]]
    assert any("create leases.coordination.k8s.io" in what for what in whats)
    assert any("create pods/portforward" in what for what in whats)


def test_a_context_that_leads_to_another_cluster(
    user: User, refused: Deploy, run: Callable[..., Outcome]
) -> None:
    run("status").expect(0)
    known = user.home / "clusters.json"
    before = known.read_text()
    known.write_text(json.dumps({CONTEXT: "the one before"}))
    try:
        error = refused()
        assert error["code"] == "target.kubernetes.other_cluster"
        assert str(known) in error["hint"]
        run("status").expect(1)
        known.write_text("{}")
        run("status").expect(0)
        assert known.read_text() == before
    finally:
        known.write_text(before)


def test_a_namespace_that_is_missing(
    refused: Deploy, run: Callable[..., Outcome], declare: Callable[..., None],
    namespace: str, api_cluster: Cluster,
) -> None:  # fmt: skip
    declare(namespace=f"{namespace}-2")
    error = refused()
    assert error["code"] == "target.kubernetes.namespace"
    assert "--create-namespace" in error["hint"]
    run("rollback", "digits").expect(1)
    assert api_cluster.get(kinds.NAMESPACE, f"{namespace}-2") is None


def test_a_registry_that_does_not_answer(
    refused: Deploy, declare: Callable[..., None], namespace: str, api_cluster: Cluster
) -> None:
    assert refused()["code"] == "registry.unreachable"
    declare(namespace=f"{namespace}-2")
    assert refused("--create-namespace")["code"] == "registry.unreachable"
    assert api_cluster.get(kinds.NAMESPACE, f"{namespace}-2") is None


def test_a_namespace_that_ends(refused: Deploy, namespace: str, api_cluster: Cluster) -> None:
    api_cluster.delete(kinds.NAMESPACE, namespace, None)
    assert refused()["code"] == "target.kubernetes.namespace_ending"
    assert refused("--create-namespace")["code"] == "target.kubernetes.namespace_ending"


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        (kinds.SERVICE, {"spec": {"ports": [{"port": 80}]}}),
        (kinds.CONFIG_MAP, {"data": {"a": "b"}}),
        (kinds.LEASE, {"spec": {"holderIdentity": "somebody"}}),
    ],
)
def test_a_name_of_someone_else(
    refused: Deploy, namespace: str, api_cluster: Cluster, kind: Kind, spec: dict[str, Any]
) -> None:
    name = "digits" if kind is kinds.SERVICE else "cloche-digits"
    api_cluster.create(kind, {**spec, "metadata": {"name": name, "namespace": namespace}})
    error = refused()
    assert error["code"] in {"target.kubernetes.foreign", "state.foreign"}
    assert f"{kind.name} " in error["what"]
    assert name in error["what"]


def test_no_gateway_api(refused: Deploy, declare: Callable[..., None]) -> None:
    declare(expose="gateway", gateway="a/b", host="digits.test")
    assert refused()["code"] == "target.kubernetes.gateway_api"


@pytest.mark.parametrize(
    "record",
    [
        ("2", '{"name": "digits", "operated": {}, "more": 1}', "state.newer"),
        ("2", '{"name": 1}', "state.newer"),
        ("1", '{"name": 1}', "state.corrupt"),
        ("1", '{"name": "other", "operated": {}}', "state.corrupt"),
        ("x", "{}", "state.corrupt"),
    ],
)
def test_a_record_that_cannot_be_written(
    refused: Deploy, keep: Callable[..., None], namespace: str, record: tuple[str, str, str]
) -> None:
    schema, text, code = record
    keep("digits", text, schema)
    error = refused()
    assert error["code"] == code
    assert f"ConfigMap {namespace}/cloche-digits" in error["where"]
    if code == "state.corrupt":
        assert f"kubectl delete configmap cloche-digits -n {namespace}" in error["hint"]


def test_one_unreadable_record_hides_no_other(
    run: Callable[..., Outcome], keep: Callable[..., None]
) -> None:
    keep("digits", "{")
    keep("words", "[]")
    report = run("status").expect(0).json
    assert [each["code"] for each in report["problems"]] == ["state.corrupt"] * 2
