"""Which hosts and which web pages the real gateway answers."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest
from running_gateway import Running, installed, running

HOSTS = ("models.example.com", "*.lab.example")
PAGE = "https://app.example.com"
PATH = "/v2/models/a/infer"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("strict"), installed()) as gateway:
        gateway.serve("a", (100, gateway.replica("one")))
        yield gateway


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("lenient")
    with running(folder, installed(), gateway_hosts=HOSTS, gateway_cors=(PAGE,)) as gateway:
        gateway.serve("a", (100, gateway.replica("one")))
        yield gateway


def ask(gateway: Running, method: str = "POST", **headers: str) -> httpx.Response:
    return httpx.request(method, gateway.url + PATH, json={}, headers=headers, timeout=20)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.0.0.1:8080", "192.168.1.7:8080", "[::1]:8080", "localhost", "LOCALHOST:1",
        "a.localhost", "a.localhost:8080",
    ],
)  # fmt: skip
def test_its_own_hosts_are_answered(host: str, strict: Running) -> None:
    assert ask(strict, host=host).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "models.example.com", "localhost.evil.example", "x",
     "a1.2", "127.0.0.1.evil.example", "notlocalhost"],
)  # fmt: skip
def test_names_that_lead_here_are_refused(host: str, strict: Running) -> None:
    answer = ask(strict, host=host)
    assert answer.status_code == 403
    assert "setting gateway.hosts" in answer.json()["error"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("models.example.com", 200), ("MODELS.example.com:9", 200), ("x.lab.example:80", 200),
        ("lab.example", 403), ("a.models.example.com", 403), ("xlab.example", 403),
    ],
)  # fmt: skip
def test_names_that_are_set_are_answered(host: str, status: int, lenient: Running) -> None:
    assert ask(lenient, host=host).status_code == status


def test_a_client_of_http_1_0_may_leave_its_host_out(strict: Running) -> None:
    port = httpx.URL(strict.url).port or 0
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(f"GET {PATH} HTTP/1.0\r\n\r\n".encode())
        assert b" 200 " in client.recv(4096)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", PAGE])
def test_pages_of_other_origins_are_refused(origin: str, strict: Running) -> None:
    for method in ("POST", "GET", "OPTIONS"):
        answer = ask(strict, method, origin=origin)
        assert answer.status_code == 403
        assert "setting gateway.cors" in answer.json()["error"]
        assert "access-control-allow-origin" not in answer.headers


def test_a_page_of_its_own_address_is_answered(strict: Running) -> None:
    assert ask(strict, origin=strict.url).status_code == 200


def test_an_allowed_page_may_ask_and_read(lenient: Running) -> None:
    asked = {"access-control-request-method": "POST",
             "access-control-request-headers": "content-type"}  # fmt: skip
    before = ask(lenient, "OPTIONS", origin=PAGE, **asked)
    assert before.status_code == 200
    assert before.headers["access-control-allow-origin"] == PAGE
    assert "POST" in before.headers["access-control-allow-methods"]
    assert "content-type" in before.headers["access-control-allow-headers"]
    answer = ask(lenient, origin=PAGE)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, PAGE)
    assert "cloche-revision" in answer.headers["access-control-expose-headers"]
    assert ask(lenient, origin="https://evil.example").status_code == 403
    assert "access-control-allow-origin" not in ask(lenient).headers


def test_every_page_is_answered_where_that_is_set(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("open")
    with running(folder, installed(), gateway_cors=("*",)) as gateway:
        gateway.serve("a", (100, gateway.replica("one")))
        answer = ask(gateway, origin="https://any.example")
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] in {"*", "https://any.example"}
        assert ask(gateway, host="evil.example").status_code == 403
