"""The objects in a plan, held against `kubectl diff`, which asks the same server on its own."""

from __future__ import annotations

import json
import re
import ssl
import sys
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, cast

import pytest
from ruamel.yaml import YAML
from test_kubernetes_target import OPTIONS, desired, placed, target
from test_rights import grant

from cloche.artifacts import (
    ChangeKind,
    Consent,
    DeployPlan,
    Exposure,
    ObjectAction,
    ObjectChange,
    Operated,
)
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster
from cloche.clients.kubernetes.kinds import Kind
from cloche.rollout import consent
from cloche.targets import ApplyError, Desired
from cloche.targets.kubernetes import rights, seen, wanted, writing
from cluster.harness.api_server import ApiServer
from fixtures.cluster_state import connected
from fixtures.kubernetes_client import Quiet, serving

MUTATING = Kind(
    "admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations", namespaced=False,
)  # fmt: skip
Value = tuple[str, str, str]
"""The path of a field without the items of lists, and its values before and after as JSON."""
ITEM = re.compile(r"\[[^\]]*\]")
BOTH = """#!{python}
import json, pathlib, sys
folders = [pathlib.Path(each) for each in sys.argv[1:]]
print(json.dumps([{{one.name: one.read_text() for one in each.iterdir()}} for each in folders]))
"""
UNSAID = {"creationTimestamp", "generation", "resourceVersion", "uid", "cloche.dev/applied"}


# ── kubectl's side ────────────────────────────────────────────────────────────────────────────


def exported(cluster: Cluster, namespace: str, asked: Desired) -> list[dict[str, Any]]:
    """Return the objects as they are applied."""
    found = seen.read(cluster, namespace, asked.service)
    bodies = [body for _, body in wanted.of_service(asked, namespace, cluster.serves)]
    for placement in asked.placements:
        kind, body = wanted.workload(placement, namespace)
        owner = found.get(kind, body["metadata"]["name"])
        beside = wanted.of_revision(
            placement, asked, found, owner, namespace=namespace, serves=cluster.serves
        )
        bodies += [body, *(each for _, each in beside)]
    bodies += [body for _, body in wanted.of_traffic(asked, namespace, cluster.serves)]
    return [writing.marked(body) for body in bodies]


class Differ:
    """`kubectl diff` of objects, as values that changed by object."""

    def __init__(self, server: ApiServer, cluster: Cluster, namespace: str) -> None:
        self.server, self.cluster, self.namespace = server, cluster, namespace

    def __call__(self, asked: Desired) -> dict[str, set[Value]]:
        objects = exported(self.cluster, self.namespace, asked)
        done = self.server.kubectl.run(
            "diff", "--server-side", "--field-manager=cloche", "--force-conflicts", "-f", "-",
            stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
        )  # fmt: skip
        assert done.returncode in {0, 1}, done.stderr
        if not done.stdout:
            return {}
        live, merged = json.loads(done.stdout)
        names = live.keys() | merged.keys()
        found = {name: _changed(_read(live.get(name)), _read(merged.get(name))) for name in names}
        return {_object(name): values for name, values in found.items() if values}


def _object(file: str) -> str:
    """Return `Deployment/a` of `apps.v1.Deployment.NAMESPACE.a`."""
    words = file.split(".")
    kind = next(index for index, word in enumerate(words) if word[:1].isupper())
    return f"{words[kind]}/{words[-1]}"


def _read(text: str | None) -> Any:
    return YAML(typ="safe").load(text) if text else {}


def _flat(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if key in UNSAID or (path == () and key == "status"):
            continue
        if isinstance(item, dict | list) and item and not _is_plain(item):
            yield from _flat(item, (*path, str(key)))
        else:
            yield (*path, str(key)), json.dumps(item)


def _is_plain(item: Any) -> bool:
    return isinstance(item, list) and not any(isinstance(each, dict) for each in item)


def _changed(before: Any, after: Any) -> set[Value]:
    one, two = dict(_flat(before)), dict(_flat(after))
    paths = [path for path in one.keys() | two.keys() if one.get(path) != two.get(path)]
    return {(_without_items(path), one.get(path, "null"), two.get(path, "null")) for path in paths}


def _without_items(path: tuple[str, ...]) -> str:
    return ".".join(part for part in path if not part.isdigit())


# ── our side ──────────────────────────────────────────────────────────────────────────────────


def of_plan(changes: tuple[ObjectChange, ...]) -> dict[str, set[Value]]:
    """Return changed values by object, without what no object that is applied has."""
    found: dict[str, set[Value]] = {}
    for change in changes:
        values = {
            (ITEM.sub("", field.path), json.dumps(field.before), json.dumps(field.after))
            for field in change.fields
            if field.path != "spec.replicas"
        }
        if values:
            found.setdefault(f"{change.kind}/{change.name}", set()).update(values)
    return found


@pytest.fixture
def differ(
    api_server: ApiServer,
    api_cluster: Cluster,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Differ:
    script = tmp_path / "both"
    script.write_text(BOTH.format(python=sys.executable))
    script.chmod(0o755)
    monkeypatch.setenv("KUBECTL_EXTERNAL_DIFF", str(script))
    return Differ(api_server, api_cluster, namespace)


def test_a_new_service_is_made_of_the_same_objects(
    api_cluster: Cluster, namespace: str, differ: Differ
) -> None:
    asked = desired(placed())
    changes = target(api_cluster, namespace).compare(asked)
    assert {each.action for each in changes} == {ObjectAction.CREATE}
    ours = {f"{each.kind}/{each.name}": each for each in changes}
    theirs = differ(asked)
    assert ours.keys() - {"ConfigMap/digits-r1"} == theirs.keys()
    for name, values in of_plan(changes).items():
        assert values <= theirs[name]
    assert target(api_cluster, namespace).observe("digits").empty


def test_nothing_would_change(api_cluster: Cluster, namespace: str, differ: Differ) -> None:
    here, asked = target(api_cluster, namespace), desired(placed())
    here.apply(asked)
    assert here.compare(asked) == ()
    assert differ(asked) == {}


CHANGED: list[Callable[[], Desired]] = [
    lambda: desired(placed(), placed(number=2), split=2),
    lambda: desired(_with_image(placed()), split=1),
    lambda: desired(placed(options=replace(OPTIONS, tolerations=(_TOLERATION,)))),
    lambda: desired(placed(options=replace(OPTIONS, tolerations=()))),
    lambda: desired(placed(options=replace(OPTIONS, node_selector={}, labels={"team": "a"}))),
    lambda: replace(
        desired(placed()), operated=Operated(exposure=Exposure(prometheus="monitoring"))
    ),
]
_TOLERATION = {"key": "gpu", "operator": "Equal", "value": "a", "effect": "NoSchedule"}


def _with_image(placement: Any) -> Any:
    pod = json.loads(json.dumps(placement.pod))
    pod["spec"]["containers"][0]["image"] = "registry.test/other@sha256:" + "1" * 64
    return replace(placement, pod=pod)


@pytest.mark.parametrize("asked", CHANGED)
def test_what_is_there_changes_in_the_same_fields(
    api_cluster: Cluster, namespace: str, differ: Differ, asked: Callable[[], Desired]
) -> None:
    here = target(api_cluster, namespace)
    here.apply(desired(placed()))
    changes = here.compare(asked())
    updates = tuple(each for each in changes if each.action is not ObjectAction.CREATE)
    assert {each.action for each in updates} == {ObjectAction.UPDATE}
    made = {f"{each.kind}/{each.name}" for each in changes if each not in updates}
    theirs = differ(asked())
    assert of_plan(updates) == {name: theirs[name] for name in theirs if name not in made}
    assert made - {"ConfigMap/digits-r2"} == theirs.keys() - of_plan(updates).keys()


# ── others ────────────────────────────────────────────────────────────────────────────────────


def test_what_others_changed_is_shown_as_theirs(
    api_cluster: Cluster, namespace: str, differ: Differ, api_server: ApiServer
) -> None:
    here, asked = target(api_cluster, namespace), desired(placed())
    here.apply(asked)
    patch = {"spec": {"progressDeadlineSeconds": 5000, "template": {"spec": {
        "containers": [{"name": "server", "image": "other:1"}]}}}}  # fmt: skip
    api_server.kubectl(
        "patch", "deployment/digits-r1", "-n", namespace, "-p", json.dumps(patch),
        "--field-manager=someone",
    )  # fmt: skip
    (change,) = here.compare(asked)
    assert change.action is ObjectAction.DRIFT
    assert {(field.path, field.owner) for field in change.fields} == {
        ("spec.progressDeadlineSeconds", "someone"),
        ('spec.template.spec.containers[name="server"].image', "someone"),
    }
    assert of_plan((change,)) == differ(asked)
    assert here.diff(asked) == (), "apply leaves it"


def test_what_others_set_is_taken_over_only_with_a_yes(
    api_cluster: Cluster, namespace: str, differ: Differ, api_server: ApiServer
) -> None:
    here = target(api_cluster, namespace)
    here.apply(desired(placed()))
    patch = {"spec": {"selector": {"cloche.dev/revision": "7"}}}
    api_server.kubectl(
        "patch", "service/digits", "-n", namespace, "-p", json.dumps(patch),
        "--field-manager=someone",
    )  # fmt: skip
    asked = desired(placed(), placed(number=2), split=2)
    changes = here.compare(asked)
    (change,) = (each for each in changes if each.action is ObjectAction.UPDATE)
    assert of_plan((change,))["Service/digits"] == differ(asked)["Service/digits"]
    (question,) = consent.takes_over(
        DeployPlan("digits", ChangeKind.UPDATE, (), (), (), objects=changes)
    )
    assert question.consent is Consent.TAKE_OVER
    assert "spec.selector.cloche.dev/revision of Service digits belongs to someone" in question.what
    with pytest.raises(ApplyError, match="belongs to someone"):
        here.apply(asked)
    here.take_over()
    here.apply(asked)
    assert target(api_cluster, namespace).compare(asked) == ()


def test_what_others_took_away_is_shown(
    api_cluster: Cluster, namespace: str, differ: Differ, api_server: ApiServer
) -> None:
    here, asked = target(api_cluster, namespace), desired(placed())
    here.apply(asked)
    api_server.kubectl("label", "service/digits", "-n", namespace, "app.kubernetes.io/name-")
    (change,) = here.compare(asked)
    (field,) = change.fields
    assert (change.action, change.name) == (ObjectAction.DRIFT, "digits")
    assert (field.path, field.before, field.after) == (
        "metadata.labels.app.kubernetes.io/name", None, "digits",
    )  # fmt: skip
    assert of_plan((change,)) == differ(asked)


def test_what_others_added_is_theirs_alone(
    api_cluster: Cluster, namespace: str, differ: Differ, api_server: ApiServer
) -> None:
    here, asked = target(api_cluster, namespace), desired(placed())
    here.apply(asked)
    api_server.kubectl("annotate", "deployment/digits-r1", "-n", namespace, "note=a")
    api_server.kubectl("label", "networkpolicy/digits", "-n", namespace, "note=a")
    assert here.compare(asked) == ()
    assert differ(asked) == {}


def test_what_a_webhook_sets_is_no_change(
    api_cluster: Cluster, namespace: str, differ: Differ, api_server: ApiServer
) -> None:
    here, asked = target(api_cluster, namespace), desired(placed())
    with mutating(api_server, api_cluster, namespace):
        until_mutated(api_cluster, namespace)
        here.apply(asked)
        workload = api_cluster.get(kinds.DEPLOYMENT, "digits-r1", namespace)
        assert workload is not None
        assert workload["spec"]["progressDeadlineSeconds"] == 77
        assert here.compare(asked) == ()
        assert differ(asked) == {}
        image = desired(_with_image(placed()))
        (change,) = here.compare(image)
        assert [field.path for field in change.fields] == [
            'spec.template.spec.containers[name="server"].image'
        ]
        assert of_plan((change,)) == differ(image)


@contextmanager
def mutating(api_server: ApiServer, cluster: Cluster, namespace: str) -> Iterator[None]:
    """Have a webhook set a deadline and an annotation of each Deployment of a namespace."""
    patch = [
        {"op": "add", "path": "/spec/progressDeadlineSeconds", "value": 77},
        {"op": "add", "path": "/metadata/annotations", "value": {"webhook": "was here"}},
    ]

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            annotations = review["request"]["object"]["metadata"].get("annotations", {})
            patch[1]["value"] = {**annotations, "webhook": "was here"}
            review["response"] = {
                "uid": review["request"]["uid"], "allowed": True, "patchType": "JSONPatch",
                "patch": b64encode(json.dumps(patch).encode()).decode(),
            }  # fmt: skip
            self.answer(200, json.dumps(review).encode())

    pair = api_server.authority.issue("mutating", "/CN=webhook", ["IP:127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with serving(Handler, context) as port:
        authority = b64encode(api_server.authority.certificate.read_bytes()).decode()
        cluster.create(MUTATING, {"metadata": {"name": namespace}, "webhooks": [{
            "name": "sets.example.org",
            "clientConfig": {"url": f"https://127.0.0.1:{port}/", "caBundle": authority},
            "rules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"],
                       "operations": ["CREATE", "UPDATE"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }]})  # fmt: skip
        try:
            yield
        finally:
            cluster.delete(MUTATING, namespace, None)


def until_mutated(cluster: Cluster, namespace: str) -> None:
    """Ask until the API server has read its webhooks."""
    body = wanted.workload(placed(number=9), namespace)[1]
    for _ in range(10_000):
        made = cluster.apply(kinds.DEPLOYMENT, body, dry_run=True)
        if made["spec"]["progressDeadlineSeconds"] == 77:
            return
    pytest.fail("the webhook is not asked")


# ── without the right to ask ──────────────────────────────────────────────────────────────────


def test_without_the_right_to_patch_it_is_this_clients_own(
    api_cluster: Cluster, namespace: str, api_server: ApiServer
) -> None:
    target(api_cluster, namespace).apply(desired(placed()))
    needed = (right for right in rights.needed(api_cluster, Exposure()) if right.verb != "patch")
    grant(api_cluster, namespace, tuple(needed))
    asked = desired(placed(options=replace(OPTIONS, labels={"team": "other"})))
    sure = target(api_cluster, namespace).compare(asked)
    with connected(api_server.kubeconfig_of("ann", "builders")) as ann:
        changes = target(ann, namespace).compare(asked)
        assert target(ann, namespace).compare(desired(placed())) == ()
    assert [(each.action, each.name) for each in changes] == [
        (each.action, each.name) for each in sure
    ]
    assert [set(each.fields) for each in changes] == [set(each.fields) for each in sure]
    assert all("ann may not patch" in (each.unasked or "") for each in changes)


def test_nothing_takes_one_list_whatever_else_is_there(
    api_cluster: Cluster, namespace: str
) -> None:
    asked = desired(placed())
    target(api_cluster, namespace).apply(asked)
    counted = Counted(api_cluster)
    assert target(cast("Cluster", counted), namespace).compare(asked) == ()
    assert counted.calls.keys() <= {"get", "list", "serves"}
    assert counted.calls["list"] == [kinds.DEPLOYMENT]
    assert Counter(counted.calls["get"]) == {
        kinds.NETWORK_POLICY: 1, kinds.SERVICE_ACCOUNT: 1, kinds.SERVICE: 2,
        kinds.POD_DISRUPTION_BUDGET: 1, kinds.HORIZONTAL_POD_AUTOSCALER: 1,
    }  # fmt: skip


def test_of_many_revisions_objects_are_listed(api_cluster: Cluster, namespace: str) -> None:
    asked = desired(*(placed(number=number) for number in (1, 2, 3)))
    target(api_cluster, namespace).apply(asked)
    counted = Counted(api_cluster)
    assert target(cast("Cluster", counted), namespace).compare(asked) == ()
    assert set(counted.calls["list"]) == {
        *seen.OF_REVISIONS, kinds.HORIZONTAL_POD_AUTOSCALER,
    }  # fmt: skip


class Counted:
    """A cluster that notes what it is asked: the method, and of which kind."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.calls: dict[str, list[Kind]] = defaultdict(list)

    def __getattr__(self, name: str) -> Any:
        def asked(kind: Kind, *rest: Any, **options: Any) -> Any:
            self.calls[name].append(kind)
            return getattr(self._cluster, name)(kind, *rest, **options)

        return asked
