"""Requests that ended Triton or took its memory, on real Triton behind the real gateway."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from running_gateway import Running, doubling

from cloche.settings import Settings
from cloche.targets.local.envoy import bounds
from fixtures.triton import RunningTriton, TritonStarter

MIB = 2**20
WORDS = bounds.words(Settings(home=Path("/home")))
LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Served:
    triton: RunningTriton
    gateway: Running

    def ask(self, body: Any, call: str = "infer", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{self.gateway.url}/v2/models/double/{call}"
        return httpx.post(url, content=body, headers=named, timeout=60, trust_env=False)

    def memory(self) -> int:
        return int(psutil.Process(self.triton.process.pid).memory_info().rss)


@pytest.fixture(scope="module")
def served(
    triton_starter: TritonStarter, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    with doubling(triton_starter, tmp_path_factory.mktemp("double")) as served:
        yield Served(*served)


@pytest.fixture(autouse=True)
def lives(served: Served) -> Iterator[None]:
    """Whatever was sent: the same Triton runs, answers right, and no script has failed."""
    yield
    assert served.triton.process.poll() is None
    answer = served.ask(asking(40, 41))
    assert (answer.status_code, answer.json()["outputs"][0]["data"]) == (200, [80, 82])
    assert "lua" not in served.gateway.log()


def asking(*data: float, **keys: Any) -> bytes:
    given = {"name": "x", "datatype": "FP32", "shape": [len(data)], "data": list(data)} | keys
    return json.dumps({"inputs": [given]}).encode()


def binary(values: int, **keys: Any) -> tuple[bytes, dict[str, str]]:
    """A request with so many values of 50 in binary, and its header; `keys` go to the input."""
    parameters = {"binary_data_size": 4 * values}
    given = {"name": "x", "datatype": "FP32", "shape": [values], "parameters": parameters} | keys
    text = json.dumps({"inputs": [given]}).encode()
    return text + b"\x00\x00\x48\x42" * values, {LENGTH: str(len(text))}


def after_padding(text: bytes) -> bytes:
    """The same request, with so many blanks in front that the gateway does not hold it."""
    return b" " * 300_000 + text


DEEP = b'{"inputs":' + b"[" * 120_000
LARGE = asking(1, 2, shape=[2**40])
SEVERAL = json.dumps({"inputs": [{"name": "x", "shape": [40]} for _ in range(3)]}).encode()
MANY = json.dumps({"parameters": {f"p{number}": 1 for number in range(1025)}}).encode()


@pytest.mark.parametrize("passes", [lambda body: body, after_padding], ids=["held", "passing"])
@pytest.mark.parametrize(
    ("body", "why"),
    [
        (DEEP, "depth"),
        (b'{"a":' * 65, "depth"),
        (b'{"a":"[[\\"","b":' + b"[" * 64, "depth"),
        (LARGE, "shape"),
        (asking(1, shape=[2**32, 2**32, 2]), "shape"),
        (asking(1, shape=[10**400]), "shape"),
        (asking(1, shape=[2**64 - 1, 0]), "shape"),
        (asking(1, shape=[0, 2**63]), "shape"),
        (asking(1, shape=[0, 10**400]), "shape"),
        (LARGE.replace(b'"shape"', b'"\\u0073h\\u0061pe"'), "shape"),
        (LARGE.replace(b'"shape":', b'"shape"\n\t : \n'), "shape"),
        (MANY, "members"),
        (asking(1) + b'"' + b"n" * 2**17, None),
        (asking(1, name="n" * 2**17), "name"),
        (b'{"' + b"n" * 2**17 + b'":1}', "name"),
    ],
)
def test_what_would_end_triton_is_refused(
    served: Served, body: bytes, why: str | None, passes: Callable[[bytes], bytes]
) -> None:
    sent = passes(body)
    for call in ("infer",) if why in {"shape", "name", None} else ("infer", "generate"):
        answer = served.ask(sent, call)
        if why is None:
            assert answer.status_code >= 400
        else:
            assert (answer.status_code, answer.json()) == (400, {"error": WORDS[why]})


def test_shapes_count_together(served: Served) -> None:
    answer = served.ask(SEVERAL)
    assert (answer.status_code, answer.json()) == (400, {"error": WORDS["shape"]})


def test_binary_requests_are_refused_for_their_header(served: Served) -> None:
    for size in (2, 500_000):
        body, headers = binary(size, shape=[2**40])
        answer = served.ask(body, **headers)
        assert (answer.status_code, answer.json()) == (400, {"error": WORDS["shape"]})
    for told in ("-1", "12x", "99999999999999999999999", "0x10", "12,12", ""):
        answer = served.ask(body, **{LENGTH: told})
        assert (answer.status_code, answer.json()) == (400, {"error": WORDS["header"]})
    answer = served.ask(DEEP, **{LENGTH: str(len(DEEP))})
    assert (answer.status_code, answer.json()) == (400, {"error": WORDS["depth"]})


def test_compressed_requests_are_opened_and_bounded(served: Served) -> None:
    nested = gzip.compress(DEEP)
    answer = served.ask(nested, Content_Encoding="gzip")
    assert (answer.status_code, answer.json()) == (400, {"error": WORDS["depth"]})
    for level in (0, 1, 9):  # stored, with fixed codes and with codes of its own
        for values in ([40.5, 41], [40 + number / 7 for number in range(3000)]):
            packed = zlib.compress(asking(*values), level)
            answer = served.ask(packed, Content_Encoding="deflate")
            assert answer.json()["outputs"][0]["data"][:2] == pytest.approx(
                [2 * value for value in values[:2]]
            )
    for open_size, status, why in ((40 * MIB, 413, "opened"), (0, 400, "broken")):
        packed = gzip.compress(b" " * open_size) if open_size else b"\x1f\x8bnothing"
        answer = served.ask(packed, Content_Encoding="gzip")
        assert (answer.status_code, answer.json()) == (status, {"error": WORDS[why]})
    answer = served.ask(b"x", Content_Encoding="br")
    assert (answer.status_code, answer.json()) == (415, {"error": WORDS["encoding"]})


def test_json_takes_bounded_memory(served: Served) -> None:
    before = served.memory()
    answer = served.ask(asking(1, shape=[2 * 10**8, 4]))
    assert answer.status_code == 400
    assert served.memory() - before < 100 * MIB


@pytest.mark.parametrize("values", [2, 24_000, 100_000, 2_000_000])
def test_good_requests_of_any_size_pass(served: Served, values: int) -> None:
    body, headers = binary(values)
    answer = served.ask(body, **headers)
    assert answer.json()["outputs"][0]["data"] == [100] * values
    data = [50.0] * values
    pieces = [body[at : at + 30_000] for at in range(0, len(body), 30_000)]
    for sent, told in ((asking(*data), {}), (iter(pieces), headers)):
        answer = served.ask(sent, **told)
        assert answer.json()["outputs"][0]["data"] == [100] * values


def test_json_of_unknown_size_is_read_while_it_passes(served: Served) -> None:
    answer = served.ask(iter([asking(40), b" "]))
    assert answer.json()["outputs"][0]["data"] == [80]
    answer = served.ask(iter([b" " * 2**20, b" " * 2**20, asking(40)]))
    assert answer.json()["outputs"][0]["data"] == [80]
    for body, why in ((DEEP, "depth"), (asking(1, shape=[2**19 + 1]), "shape")):
        answer = served.ask(iter([body[:10], body[10:]]))
        assert (answer.status_code, answer.json()) == (400, {"error": WORDS[why]})
    answer = served.ask(b" " * MIB for _ in range(65))
    assert (answer.status_code, answer.json()) == (413, {"error": WORDS["json"]})


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl, which speaks HTTP/2")
@pytest.mark.parametrize("body", [DEEP, LARGE], ids=["deep", "large"])
def test_plain_requests_over_http_2_are_bounded_too(served: Served, body: bytes) -> None:
    url = f"{served.gateway.url}/v2/models/double/infer"
    command = ["curl", "-s", "--http2-prior-knowledge", "--data-binary", "@-", url]
    done = subprocess.run(command, input=body, capture_output=True, check=True, timeout=60)
    assert json.loads(done.stdout)["error"] in WORDS.values()
