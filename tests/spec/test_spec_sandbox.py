"""What cloche.yaml opens and closes to a model's code."""

from __future__ import annotations

import pytest

from cloche import spec
from cloche.artifacts import Sandbox, Served, asked_for
from cloche.errors import ErrorGroup, UsageError
from cloche.spec import written

AT_PROD = """model: x
targets:
  prod: {kind: kubernetes, context: c, namespace: n, registry: r.example/x}
"""


def test_what_is_opened_and_closed_is_part_of_the_revision() -> None:
    text = "model: x\nsandbox: {read: [~/b, /a/, /a], write: [/logs], network: false}"
    served = spec.parse(text).served()
    assert served.sandbox == Sandbox(None, network=False, read=("/a", "~/b"), write=("/logs",))
    assert written.served(served) == {
        "sandbox.network": False, "sandbox.read": ["/a", "~/b"], "sandbox.write": ["/logs"],
    }  # fmt: skip
    assert spec.parse("model: x\nsandbox: {files: false}").served().sandbox.files is False


def test_what_is_so_anyway_makes_no_other_revision() -> None:
    given = spec.parse("model: x\nsandbox: {files: true, network: true, read: []}").served()
    assert asked_for(given) == asked_for(Served()) == asked_for(spec.parse("model: x").served())


@pytest.mark.parametrize(
    ("sandbox", "what", "hint"),
    [
        ("{read: [words]}", "words is not a whole path", "/data/words"),
        ("{read: [~root/words]}", "~root/words is not a whole path", "/data/words"),
        ("{read: [/data/../etc]}", "/data/../etc is not a whole path", "/data/words"),
        ('{read: [""]}', "one line of text", "/data/words"),
        ("{write: [3]}", "one line of text", "/data/words"),
        ("{read: [/]}", "everything there is", "files: false"),
        ("{read: [//]}", "everything there is", "files: false"),
        ("{files: false, read: [/data]}", "mean nothing with files: false", "Remove one"),
        ("{files: 0}", "0 is not true or false", "true or false"),
        ("{network: none}", "'none' is not true or false", "true or false"),
        ("{net: false}", "net", "network"),
        ("off", "not a group of keys", "keys below it"),
    ],
)
def test_a_mistake_is_told(sandbox: str, what: str, hint: str) -> None:
    with pytest.raises(ErrorGroup) as caught:
        spec.parse(f"model: x\nsandbox: {sandbox}")
    (error,) = caught.value.errors
    assert what in error.what
    assert hint in (error.hint or "")


def test_a_cluster_never_drops_it() -> None:
    assert spec.parse(AT_PROD).at("prod").served() == Served()
    assert (
        spec.parse(f"{AT_PROD}sandbox: {{files: false}}").at("prod").served().sandbox.files is False
    )
    for sandbox in ("{network: false}", "{read: [/data]}", "{write: [/data]}"):
        given = spec.parse(f"{AT_PROD}sandbox: {sandbox}")
        assert given.served().sandbox != Sandbox()
        with pytest.raises(UsageError) as caught:
            given.at("prod")
        assert caught.value.code == "spec.cluster_sandbox"
        assert "NetworkPolicy" in (caught.value.hint or "")
