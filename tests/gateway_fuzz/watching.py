"""What has to hold while requests are mutated: nobody dies, nothing grows without bound."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass

import psutil

GROWTH = 400 * 2**20
"""Bytes by which the memory of a server may grow: a JSON of 1 MB takes up to 16 MB while it is
parsed, in each of the server's threads, and the allocator keeps what was freed."""
DESCRIPTORS = 60
"""Connections between gateway and replica that stay open for the next requests."""


@dataclass
class Watched:
    """One process: what it had before, and the most that was seen."""

    name: str
    process: psutil.Process
    memory: int = 0
    files: int = 0
    most_memory: int = 0

    def begin(self) -> None:
        self.memory = self.most_memory = self.process.memory_info().rss
        self.files = self.process.num_fds()

    def look(self) -> None:
        assert self.process.is_running(), f"{self.name} has ended"
        assert self.process.status() != psutil.STATUS_ZOMBIE, f"{self.name} has ended"
        self.most_memory = max(self.most_memory, self.process.memory_info().rss)
        grown = self.most_memory - self.memory
        assert grown <= GROWTH, f"{self.name} grew by {grown >> 20} MiB"

    def end(self) -> None:
        self.look()
        opened = self.process.num_fds() - self.files
        assert opened <= DESCRIPTORS, f"{self.name} has {opened} more open files"

    def summary(self) -> dict[str, object]:
        return {
            "process": self.name,
            "memory_before": self.memory,
            "memory_most": self.most_memory,
            "memory_after": self.process.memory_info().rss,
            "files_before": self.files,
            "files_after": self.process.num_fds(),
        }


def answers_right(address: str, model: str) -> None:
    """Assert that a good request, in JSON and in binary, gets the right answer."""
    given = {"name": "x", "datatype": "FP32", "shape": [2], "data": [40, 41]}
    _right(address, model, json.dumps({"inputs": [given]}).encode(), {})
    given = {"name": "x", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}}
    text = json.dumps({"inputs": [given]}).encode()
    data = b"\x00\x00\x20\x42\x00\x00\x24\x42"
    _right(address, model, text + data, {"Inference-Header-Content-Length": str(len(text))})


def _right(address: str, model: str, body: bytes, headers: dict[str, str]) -> None:
    url = f"http://{address}/v2/models/{model}/infer"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as got:
            assert json.load(got)["outputs"][0]["data"] == [80, 82]
    except urllib.error.HTTPError as error:
        told = error.read().decode()
        raise AssertionError(f"a good request is answered {error.code}: {told}") from error
