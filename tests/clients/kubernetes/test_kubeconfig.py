"""kubeconfig files: found, merged, and read into values."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.clients.kubernetes import kubeconfig
from cloche.clients.kubernetes.context import Certificate, Context
from cloche.errors import ClocheError, NotFoundError, UsageError

SERVER = "https://kube.example:6443"
V1 = "client.authentication.k8s.io/v1"


def write(path: Path, **sections: dict[str, Any]) -> Path:
    """A file with named entries of each section; JSON is YAML."""
    keys = {"contexts": "context", "clusters": "cluster", "users": "user"}
    document = {
        section: [{"name": name, keys[section]: entry} for name, entry in entries.items()]
        for section, entries in sections.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def found(path: Path, name: str = "here") -> Context:
    return kubeconfig.find(name, {"KUBECONFIG": str(path)})


def of_cluster(path: Path, **fields: Any) -> Context:
    contexts = {"here": {"cluster": "c", "user": "u"}}
    clusters = {"c": {"server": SERVER, **fields}}
    return found(write(path, contexts=contexts, clusters=clusters, users={"u": {}}))


def of_user(path: Path, **fields: Any) -> Context:
    contexts = {"here": {"cluster": "c", "user": "u"}}
    return found(
        write(path, contexts=contexts, clusters={"c": {"server": SERVER}}, users={"u": fields})
    )


# ── which files, which entries ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("variable", "files"),
    [
        (None, ["/home/ann/.kube/config"]),
        ("", ["/home/ann/.kube/config"]),
        (os.pathsep, ["/home/ann/.kube/config"]),
        ("/a", ["/a"]),
        (os.pathsep.join(("/b", "", "/a")), ["/b", "/a"]),
    ],
)
def test_files(variable: str | None, files: list[str]) -> None:
    environment = {"HOME": "/home/ann"} | ({} if variable is None else {"KUBECONFIG": variable})
    assert kubeconfig.files(environment) == [Path(file) for file in files]


NAMES = st.sampled_from(["a", "b", "c"])
ENTRIES = st.dictionaries(NAMES, st.dictionaries(st.sampled_from("xyz"), st.text(max_size=3)))


@given(st.lists(ENTRIES, max_size=4))
def test_the_first_file_that_has_a_name_wins_it_whole(entries: list[dict[str, Any]]) -> None:
    documents = [
        (Path(f"/{number}/config"), {"users": [{"name": k, "user": v} for k, v in one.items()]})
        for number, one in enumerate(entries)
    ]
    merged = kubeconfig.merged(documents)["users"]
    assert merged.keys() == {name for one in entries for name in one}
    for name, entry in merged.items():
        first = next(number for number, one in enumerate(entries) if name in one)
        assert entry.fields == entries[first][name]
        assert entry.path == Path(f"/{first}/config")


def test_a_context_of_one_file_leads_to_entries_of_others(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "ca.crt").write_text("authority")
    one = write(tmp_path / "one", contexts={"x": {"cluster": "c", "user": "u", "namespace": "n"}})
    two = write(
        tmp_path / "two" / "config",
        clusters={"c": {"server": SERVER + "/", "certificate-authority": "ca.crt"}},
        users={"u": {"token": "secret"}},
    )
    listed = os.pathsep.join((str(tmp_path / "none"), str(one), str(two)))
    context = kubeconfig.find("x", {"KUBECONFIG": listed})
    assert context.server.url == SERVER
    assert context.server.authority == b"authority"
    assert context.namespace == "n"
    assert context.user.token == "secret"


def test_paths_are_those_of_the_file_that_has_them(tmp_path: Path) -> None:
    plugin = {"apiVersion": V1, "command": "./login", "interactiveMode": "Never"}
    user = of_user(tmp_path / "config", tokenFile="token", exec=plugin).user
    assert user.token_file == tmp_path / "token"
    assert user.plugin is not None
    assert user.plugin.command == str(tmp_path / "login")


def test_data_go_before_files(tmp_path: Path) -> None:
    data = b64encode(b"data").decode()
    cluster = {"certificate-authority": "gone.crt", "certificate-authority-data": data}
    assert of_cluster(tmp_path / "config", **cluster).server.authority == b"data"


def test_a_users_certificate(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("key")
    fields = {"client-certificate-data": b64encode(b"chain").decode(), "client-key": "key"}
    assert of_user(tmp_path / "config", **fields).user.certificate == Certificate(b"chain", b"key")


def test_impersonation_is_headers(tmp_path: Path) -> None:
    fields = {"as": "bob", "as-uid": "7", "as-groups": ["a", "b"], "as-user-extra": {"x/y": ["1"]}}
    assert of_user(tmp_path / "config", **fields).user.impersonation == (
        ("Impersonate-User", "bob"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-x%2Fy", "1"),
    )


def test_a_plugin(tmp_path: Path) -> None:
    fields = {
        "apiVersion": V1,
        "command": "login",
        "args": ["--cluster", "x"],
        "env": [{"name": "PROFILE", "value": "work"}],
        "provideClusterInfo": True,
        "installHint": "Install\n  login.",
    }
    plugin = of_user(tmp_path / "config", exec=fields).user.plugin
    assert plugin is not None
    assert (plugin.command, plugin.arguments) == ("login", ("--cluster", "x"))
    assert plugin.environment == {"PROFILE": "work"}
    assert plugin.knows_cluster
    assert plugin.install == "Install login."


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    fields = {"token": "hidden", "password": "hidden", "client-certificate-data": "aGlkZGVu"}
    context = of_user(tmp_path / "config", **fields, **{"client-key-data": "aGlkZGVu"})
    assert "hidden" not in repr(context.user).replace("chain=b'hidden'", "")


def test_credentials_go_nowhere_without_tls(tmp_path: Path) -> None:
    contexts = {"here": {"cluster": "c", "user": "u"}, "nobody": {"cluster": "c"}}
    clusters = {"c": {"server": "http://kube.example"}}
    path = write(
        tmp_path / "config", contexts=contexts, clusters=clusters, users={"u": {"token": "t"}}
    )
    with pytest.raises(UsageError, match="sends credentials to a server without TLS"):
        found(path)
    assert not found(path, "nobody").server.is_secure
    document = path.read_text().replace("kube.example", "localhost:8001")
    path.write_text(document)
    assert found(path).server.is_loopback


# ── wrong files ───────────────────────────────────────────────────────────────────────────────


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no kubeconfig") as caught:
        kubeconfig.find("here", {"HOME": str(tmp_path)})
    assert caught.value.where == str(tmp_path / ".kube" / "config")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("stagin", "Did you mean `staging`? The contexts are prod, staging."),
        ("zzz", "The contexts are prod, staging."),
        ("", "The contexts are prod, staging."),
    ],
)
def test_an_unknown_context_names_those_that_exist(tmp_path: Path, name: str, hint: str) -> None:
    path = write(tmp_path / "config", contexts={"staging": {}, "prod": {}})
    with pytest.raises(NotFoundError) as caught:
        found(path, name)
    assert caught.value.code == "kubernetes.context"
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"server": "kube.example:6443"}, "no `server` that is a URL"),
        ({"server": None}, "no `server` that is a URL"),
        ({"server": 7}, "a `server` that is not text"),
        ({"server": "https://[::1"}, "no `server` that is a URL"),
        ({"proxy-url": "socks5://localhost:1"}, "a `proxy-url` that is no HTTP proxy"),
        ({"insecure-skip-tls-verify": "no"}, "neither true nor false"),
        ({"certificate-authority-data": "%"}, "not base64"),
        ({"certificate-authority": "none.crt"}, "none.crt: No such file or directory"),
    ],
)
def test_a_wrong_cluster(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        of_cluster(tmp_path / "config", **fields)
    assert words in caught.value.what
    assert caught.value.where == str(tmp_path / "config")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"token": 12345}, "put it in quotes"),
        ({"client-key-data": "eA=="}, "without its client-key, or the other way round"),
        ({"exec": []}, None),
        ({"exec": ["x"]}, "an `exec` that is not a section"),
        ({"exec": {"command": "x"}}, "an `apiVersion` of"),
        ({"exec": {"command": "x", "apiVersion": V1 + "alpha1"}}, "an `apiVersion` of"),
        ({"exec": {"apiVersion": V1}}, "needs a `command`"),
        ({"exec": {"command": "x", "apiVersion": V1, "args": [1]}}, "not a list of texts"),
        ({"exec": {"command": "x", "apiVersion": V1, "env": [{}]}}, "without a name"),
        ({"auth-provider": {"name": "gcp"}}, "uses an auth-provider"),
    ],
)
def test_a_wrong_user(tmp_path: Path, fields: dict[str, Any], words: str | None) -> None:
    if words is None:
        assert of_user(tmp_path / "config", **fields).user.plugin is None
        return
    with pytest.raises(UsageError) as caught:
        of_user(tmp_path / "config", **fields)
    assert words in caught.value.what


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("token: [secret", "it is not YAML"),
        ("[]", "`contexts` is not a list"),
        ("users: {}", None),
        ("users: {a: b}", "`users` is not a list"),
        ("users: [secret]", "an entry of `users` has no name"),
        ("users: [{name: a, user: secret}]", "a of `users` has no section `user`"),
        ("users: [{name: a}, {name: a}]", "a of `users` is there twice"),
        ("contexts: [{name: here, context: {cluster: gone}}]", "names the cluster gone"),
        ("contexts: [{name: here}]", "context here names no cluster"),
    ],
)
def test_a_malformed_file(tmp_path: Path, text: str, words: str | None) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(ClocheError) as caught:
        found(path)
    assert "secret" not in str(caught.value.to_dict())
    assert words is None or words in caught.value.what


def test_a_folder_is_not_a_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        found(tmp_path)
