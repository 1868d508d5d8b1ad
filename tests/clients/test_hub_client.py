"""The hub by its own client's variables, and answers that are not a hub's in good health."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cloche.clients.huggingface.hub import Hub, hub_of
from cloche.clients.huggingface.local_cache import LocalCache
from cloche.clients.huggingface.repository import Commit, Repository
from cloche.errors import ClocheError, UsageError
from fixtures.hub import STRANGER, TOKEN, LocalHub

# ── where the hub is ──────────────────────────────────────────────────────────────────────────


def test_without_variables_it_is_the_public_hub(tmp_path: Path) -> None:
    hub = hub_of({"HOME": str(tmp_path)})
    assert hub == Hub("https://huggingface.co", tmp_path / ".cache/huggingface/hub")


@pytest.mark.parametrize(
    ("variables", "token"),
    [
        ({"HF_TOKEN": "hf_one", "HUGGING_FACE_HUB_TOKEN": "hf_two"}, "hf_one"),
        ({"HUGGING_FACE_HUB_TOKEN": " hf_two\n"}, "hf_two"),
        ({"HF_TOKEN": "hf_one\r\n"}, "hf_one"),
        ({"HF_TOKEN": " ", "HF_TOKEN_PATH": "{folder}/named"}, "of a path"),
        ({"HF_TOKEN_PATH": "{folder}/named"}, "of a path"),
        ({"HF_HOME": "{folder}/home"}, "of the home"),
        ({"XDG_CACHE_HOME": "{folder}/caches"}, "of the caches"),
        ({}, "of the user"),
        ({"HF_TOKEN_PATH": "{folder}/nothing"}, None),
        ({"HF_TOKEN": "a\x07"}, "of the user"),
        ({"HF_TOKEN": "hf_one", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}, None),
    ],
)
def test_the_token_is_found_where_the_hubs_client_finds_it(
    tmp_path: Path, variables: dict[str, str], token: str | None
) -> None:
    places = {
        "named": "of a path", "home/token": "of the home", "caches/huggingface/token":
        "of the caches", ".cache/huggingface/token": "of the user\n",
    }  # fmt: skip
    for name, text in places.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    given = {key: value.format(folder=tmp_path) for key, value in variables.items()}
    hub = hub_of({"HOME": str(tmp_path), **given})
    assert hub.token == token
    assert token is None or token not in repr(hub)


def test_the_cache_and_the_switches(tmp_path: Path) -> None:
    base = {"HOME": str(tmp_path)}
    assert hub_of({**base, "HF_HOME": "~/hf"}).cache == tmp_path / "hf/hub"
    assert hub_of({**base, "HF_HUB_CACHE": "/a"}).cache == Path("/a")
    assert hub_of({**base, "HUGGINGFACE_HUB_CACHE": "/b"}).cache == Path("/b")
    assert not hub_of({**base, "HF_HUB_OFFLINE": "0"}).offline
    assert hub_of({**base, "HF_HUB_OFFLINE": "1"}).offline
    assert hub_of({**base, "TRANSFORMERS_OFFLINE": "yes"}).offline
    assert hub_of({**base, "HF_ENDPOINT": "http://hub:8000/hf/"}).endpoint == "http://hub:8000/hf"


@pytest.mark.parametrize(
    "address", ["hub", "ftp://hub", "http://", "http://ann:secret@hub", "http://[", "http://h?a=1"]
)
def test_an_address_that_cannot_be_right(address: str) -> None:
    with pytest.raises(UsageError) as raised:
        hub_of({"HF_ENDPOINT": address})
    assert raised.value.code == "huggingface.endpoint"
    assert "secret" not in str(raised.value.to_dict())


# ── a repository ──────────────────────────────────────────────────────────────────────────────


def repository(url: str, name: str = "org/net", token: str | None = None) -> Repository:
    return Repository(Hub(url, Path("/nonexistent"), token), name)


def test_all_pages_are_listed(hub: LocalHub) -> None:
    files = {f"{i:02}/é {i}.txt": b"x" * i for i in range(7)} | {"model.onnx": b"large"}
    commit = hub.add("org/net", files).revisions["main"]
    hub.page_size = 3
    one = repository(hub.url)
    listed = one.files(one.commit("main"))
    one.close()
    assert {file.path: file.size for file in listed} == {k: len(v) for k, v in files.items()}
    digests = {file.path: file.digest or "" for file in listed}
    assert digests.pop("model.onnx").startswith("sha256:")
    assert all(digest.startswith("git:") for digest in digests.values())
    assert len([one for one in hub.asked if f"/tree/{commit}" in one.path]) == 5


def test_a_renamed_repository_is_known_by_its_new_name(hub: LocalHub) -> None:
    hub.add("new/net", {"a.txt": b"a"}, private=True)
    hub.renamed["net"] = "new/net"
    one = repository(hub.url, "net", TOKEN)
    commit = one.commit("main")
    assert commit.name == "new/net"
    assert [file.path for file in one.files(commit)] == ["a.txt"]
    one.close()


@pytest.mark.parametrize(
    ("name", "revision", "token", "code"),
    [
        ("org/none", "main", None, "huggingface.missing"),
        ("org/none", "main", TOKEN, "huggingface.missing"),
        ("org/private", "main", None, "huggingface.missing"),
        ("org/private", "main", STRANGER, "huggingface.missing"),
        ("org/private", "v9", TOKEN, "huggingface.revision"),
        ("org/gated", "main", "hf_expired", "huggingface.unauthorized"),
    ],
)
def test_what_the_hub_refuses(
    hub: LocalHub, name: str, revision: str, token: str | None, code: str
) -> None:
    hub.add("org/private", {}, private=True)
    hub.add("org/gated", {}, gated=True)
    one = repository(hub.url, name, token)
    with pytest.raises(ClocheError) as raised:
        one.commit(revision)
    one.close()
    assert raised.value.code == code
    assert raised.value.where == f"{hub.url}/{name}"
    assert raised.value.hint
    assert not raised.value.retriable
    assert token is None or token not in str(raised.value.to_dict())


class Answering:
    """A server that gives one answer to everything."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                for key, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def answering(request: pytest.FixtureRequest) -> Iterator[Answering]:
    server = Answering(*request.param)
    yield server
    server.close()


@pytest.mark.parametrize(
    ("answering", "code", "retriable"),
    [
        ((200, b"<html>Sign in</html>", {}), "huggingface.not_hub", False),
        ((200, b"[1]", {}), "huggingface.not_hub", False),
        ((200, b'{"sha": "main"}', {}), "huggingface.not_hub", False),
        ((404, b"nginx", {}), "huggingface.not_hub", False),
        ((403, b"", {"X-Error-Code": "DisabledRepo"}), "huggingface.disabled", False),
        ((403, b"", {"X-Error-Code": "GatedRepo"}), "huggingface.gated", False),
        ((404, b"", {"X-Error-Code": "EntryNotFound"}), "huggingface.file", False),
        ((403, b"", {}), "huggingface.unauthorized", False),
        ((500, b"oops", {}), "huggingface.refused", True),
        ((429, b"", {}), "huggingface.refused", True),
        ((302, b"", {"Location": "/api/models/org/net/revision/main"}), "huggingface.unreachable",
         True),
    ],
    indirect=["answering"],
)  # fmt: skip
def test_each_answer_has_its_error(
    answering: Answering, code: str, retriable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloche.clients.http.time.sleep", lambda _: None)
    one = repository(answering.url)
    with pytest.raises(ClocheError) as raised:
        one.commit("main")
    one.close()
    assert (raised.value.code, raised.value.retriable) == (code, retriable)


@pytest.mark.parametrize(
    "body", [{}, [{}], [{"type": "file"}], [{"type": "file", "path": "a", "size": "x"}], [3]]
)
def test_a_listing_that_is_none(body: object) -> None:
    server = Answering(200, json.dumps(body).encode(), {})
    one = repository(server.url)
    with pytest.raises(ClocheError) as raised:
        one.files(Commit("org/net", "0" * 40))
    one.close()
    server.close()
    assert raised.value.code == "huggingface.not_hub"


def test_a_listing_without_an_end(hub: LocalHub) -> None:
    server = Answering(200, b"[]", {"Link": '</again?cursor=1>; rel="next"'})
    one = repository(server.url)
    with pytest.raises(ClocheError) as raised:
        one.files(Commit("org/net", "0" * 40))
    one.close()
    server.close()
    assert raised.value.code == "huggingface.toomany"


def test_a_hub_that_is_not_there() -> None:
    one = repository("http://127.0.0.1:1")
    with pytest.raises(ClocheError) as raised:
        one.commit("main")
    one.close()
    assert raised.value.code == "huggingface.unreachable"
    assert raised.value.retriable
    assert "HF_ENDPOINT" in (raised.value.hint or "")


# ── the cache of the hub's own client ─────────────────────────────────────────────────────────


def test_a_cache_is_read_and_not_left(tmp_path: Path) -> None:
    commit, blob = "ab" * 20, "cd" * 32
    folder = tmp_path / "models--org--net"
    snapshot = folder / "snapshots" / commit
    for path in (folder / "blobs", folder / "refs", snapshot / "onnx"):
        path.mkdir(parents=True)
    (folder / "blobs" / blob).write_bytes(b"weights")
    (folder / "refs/main").write_text(commit)
    (folder / "refs/broken").write_text("main")
    (tmp_path / "outside").write_bytes(b"a secret")
    (snapshot / "onnx/model.onnx").symlink_to(f"../../../blobs/{blob}")
    (snapshot / "config.json").write_text("{}")
    (snapshot / "stolen").symlink_to(tmp_path / "outside")
    (snapshot / "dangling").symlink_to("../../blobs/none")
    cache = LocalCache(tmp_path, "org/net")
    files = {file.path: file.digest for file in cache.files(commit)}
    assert files == {"onnx/model.onnx": f"sha256:{blob}", "config.json": None}
    assert cache.commit("main") == commit
    assert cache.commit(commit) == commit
    assert cache.commit("broken") is None
    assert cache.commit("none") is None
    assert {file.path: cache.blob(file) for file in cache.files(commit)} == {
        "onnx/model.onnx": folder / "blobs" / blob, "config.json": None,
    }  # fmt: skip
