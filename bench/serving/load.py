"""Load from wrk: a bounded run against one loopback URL, and the CPU time of processes."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SCRIPT = """
local file = io.open("{body}", "rb")
wrk.method = "POST"
wrk.body = file:read("*all")
file:close()
{headers}
done = function(summary, latency, requests)
  io.write(string.format(
    'RESULT {{"requests": %d, "seconds": %f, "bad_status": %d, "broken": %d, ' ..
    '"p50_ms": %f, "p99_ms": %f}}\\n',
    summary.requests, summary.duration / 1e6, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of a contender for one model, and a request to it."""

    url: str
    body: bytes
    headers: dict[str, str]
    proxies: tuple[int, ...] = ()
    """Process ids of a proxy in front, for its CPU time."""

    def measure(self, connections: int, seconds: int, folder: Path) -> dict[str, Any]:
        """Load the endpoint for some seconds; return the measured fields of a `Measurement`."""
        before = _cpu(self.proxies)
        result = _wrk(self, connections, seconds, folder)
        result["failed"] = result.pop("bad_status") + result.pop("broken")
        if self.proxies:
            result["cpu_seconds"] = {"proxy": round(_cpu(self.proxies) - before, 3)}
        return result


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of the load generator."""

    contender: str
    model: str
    format: str
    connections: int
    requests: int
    seconds: float
    failed: int
    p50_ms: float
    p99_ms: float
    stolen: float = 0.0
    """The share of processor time that the machine's host took."""
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    """User and system seconds of each named group of processes."""

    @property
    def rate(self) -> float:
        """Return the successful requests per second: a refusal is quick, but not an answer."""
        return max(0, self.requests - self.failed) / self.seconds

    @property
    def summary(self) -> str:
        """Return one line for the console."""
        which = f"{self.contender} {self.model} {self.format} {self.connections}"
        figures = f"{self.rate:,.0f}/s, p50 {self.p50_ms:.2f} ms, failed {self.failed}"
        return f"{which}: {figures}, stolen {self.stolen:.0%}"


def require() -> str:
    """Return the path of wrk; exits with installation advice if it is missing."""
    path = shutil.which("wrk")
    if path is None:
        raise SystemExit("The bench needs wrk. Install it: apt-get install wrk")
    return path


def _wrk(endpoint: Endpoint, connections: int, seconds: int, folder: Path) -> dict[str, Any]:
    body = folder / "body.bin"
    body.write_bytes(endpoint.body)
    script = folder / "request.lua"
    headers = "\n".join(f'wrk.headers["{k}"] = "{v}"' for k, v in endpoint.headers.items())
    script.write_text(_SCRIPT.format(body=body, headers=headers))
    output = subprocess.run(
        [require(), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
         "-s", str(script), endpoint.url],
        check=True, capture_output=True, text=True, timeout=seconds + 30,
    ).stdout  # fmt: skip
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    return dict(json.loads(line.removeprefix("RESULT ")))


def _cpu(pids: Iterable[int]) -> float:
    """Return the user and system seconds of processes and all their descendants so far."""
    total = 0.0
    for pid in pids:
        process = psutil.Process(pid)
        for member in [process, *process.children(recursive=True)]:
            times = member.cpu_times()
            total += times.user + times.system
    return total
