"""A real API server that is away, slow, or breaks off; and watching it."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler

import httpx
import pytest

from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster, connect
from cloche.errors import (
    ClocheError,
    NotFoundError,
    StaleError,
    UnavailableError,
)
from cluster.harness.access import CONTEXT
from cluster.harness.api_server import ApiServer
from fixtures.kubernetes_client import SHORT, AsUser, Quiet, config_map, serving

V1 = "client.authentication.k8s.io/v1"
Trouble = Callable[[Quiet, httpx.Response], None]


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

        class Handler(Quiet, BaseHTTPRequestHandler):
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

        base = api_server.url
        with (
            httpx.Client(base_url=base, verify=trust, trust_env=False) as client,
            serving(Handler) as port,
        ):
            yield f"http://127.0.0.1:{port}"


def _pass_on(handler: Quiet, answer: httpx.Response) -> None:
    handler.answer(answer.status_code, answer.content)


def _hang_up(handler: Quiet, _: httpx.Response) -> None:
    handler.close_connection = True


def _busy(handler: Quiet, _: httpx.Response) -> None:
    handler.answer(429, b"too many", **{"Retry-After": "0"})


@pytest.fixture
def between(api_server: ApiServer) -> Iterator[tuple[_Between, str]]:
    between = _Between()
    with between.before(api_server) as url:
        yield between, url


@pytest.mark.parametrize("trouble", [_hang_up, _busy])
def test_what_can_be_repeated_is_asked_again(
    between: tuple[_Between, str], as_user: AsUser, api_server: ApiServer, api_namespace: str,
    trouble: Trouble,
) -> None:  # fmt: skip
    troubles, url = between[0].troubles, between[1]
    client = as_user({"token": api_server.token}, url, patience=SHORT)
    body = config_map("a", api_namespace, data={"x": "1"})
    troubles.append(trouble)
    made = client.create(kinds.CONFIG_MAP, body)
    troubles.append(trouble)
    replaced = client.replace(kinds.CONFIG_MAP, {**made, "data": {"x": "2"}})
    assert replaced["metadata"]["uid"] == made["metadata"]["uid"]
    assert replaced["data"] == {"x": "2"}
    troubles.append(trouble)
    assert client.list(kinds.CONFIG_MAP, api_namespace).items
    troubles.append(trouble)
    client.apply(kinds.CONFIG_MAP, config_map("a", api_namespace, data={"y": "3"}))
    assert not troubles


def test_a_lost_answer_to_a_write_that_another_overtook_is_stale(
    between: tuple[_Between, str], as_user: AsUser, api_server: ApiServer, api_namespace: str,
    client: Cluster,
) -> None:  # fmt: skip
    asking = as_user({"token": api_server.token}, between[1], patience=SHORT)
    made = client.create(kinds.CONFIG_MAP, config_map("a", api_namespace, data={"x": "1"}))

    def overtake(handler: Quiet, answer: httpx.Response) -> None:
        client.patch(kinds.CONFIG_MAP, "a", api_namespace, {"data": {"x": "theirs"}})
        _hang_up(handler, answer)

    between[0].troubles.append(overtake)
    with pytest.raises(StaleError):
        asking.replace(kinds.CONFIG_MAP, {**made, "data": {"x": "ours"}})


def test_a_list_whose_version_is_forgotten_between_two_pages_begins_anew(
    between: tuple[_Between, str], as_user: AsUser, api_server: ApiServer, api_namespace: str,
    client: Cluster,
) -> None:  # fmt: skip
    asking = as_user({"token": api_server.token}, between[1], patience=SHORT)
    for number in range(120):
        client.create(kinds.CONFIG_MAP, config_map(f"m{number}", api_namespace))
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}

    def forget(handler: Quiet, _: httpx.Response) -> None:
        handler.answer(410, json.dumps(status).encode())

    between[0].troubles += [_pass_on, forget]
    names = {
        item["metadata"]["name"] for item in asking.list(kinds.CONFIG_MAP, api_namespace).items
    }
    assert names == {f"m{number}" for number in range(120)}
    assert len(between[0].asked) == 4
    between[0].troubles += [_pass_on, forget] * 3
    with pytest.raises(UnavailableError, match="no longer knows"):
        asking.list(kinds.CONFIG_MAP, api_namespace)


def test_patience_has_an_end(
    between: tuple[_Between, str], as_user: AsUser, api_server: ApiServer
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
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(client.list, kinds.CONFIG_MAP, "default")
            own.start()
            assert asked.result().items
        client.delete(kinds.CONFIG_MAP, "gone", "default")
        client.create(kinds.CONFIG_MAP, config_map("after", "default"))
        last = known.send("after")
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
    client: Cluster, api_namespace: str
) -> None:
    for name in ("a", "b"):
        labels = {"labels": {"app": name}}
        client.create(kinds.CONFIG_MAP, config_map(name, api_namespace, metadata=labels))
    changes = client.watch(kinds.CONFIG_MAP, api_namespace, labels="app in (a, c)", seconds=1)
    assert [(change.type, change.object["metadata"]["name"]) for change in changes] == [
        ("ADDED", "a")
    ]


def test_closing_ends_what_another_thread_watches(
    api_server: ApiServer, api_namespace: str
) -> None:
    client = connect(CONTEXT, {"KUBECONFIG": str(api_server.kubeconfig)})
    client.create(kinds.CONFIG_MAP, config_map("a", api_namespace))
    changes = client.watch(kinds.CONFIG_MAP, api_namespace)
    version = next(changes).version
    errors: list[ClocheError] = []

    def watch() -> None:
        try:
            for change in client.watch(kinds.CONFIG_MAP, api_namespace, version=version):
                if change.object["metadata"]["name"] == "b":
                    opened.set()
        except ClocheError as error:
            errors.append(error)

    opened = threading.Event()
    thread = threading.Thread(target=watch)
    thread.start()
    client.create(kinds.CONFIG_MAP, config_map("b", api_namespace))
    assert opened.wait(30)
    client.close()
    thread.join(30)
    assert [error.code for error in errors] == ["kubernetes.stopped"]
    with pytest.raises(ClocheError, match="was stopped"):
        client.version()


def test_the_log_of_a_pod_that_is_not_there(client: Cluster, api_namespace: str) -> None:
    with pytest.raises(NotFoundError, match=f"has no Pod a in namespace {api_namespace}"):
        list(client.log("a", api_namespace, "main"))
    with (
        pytest.raises(NotFoundError, match=f"has no Pod a in namespace {api_namespace}"),
        client.forward("a", api_namespace, 80),
    ):
        pass
