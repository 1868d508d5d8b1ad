"""`python -m bench.routing`: one more service among many, until the gateway has its routes.

The gateway is the real one, of two processes. All services lead to one small server, which answers
their health checks: what is measured is the gateway's tables, not the start of replicas. A service
is added, and the seconds counted until the gateway was seen to route it: `ordinary` ones, which
have their routes in common with all others, such that a registry calls otherwise than their server
(`registered`), as every second one is here, and one with a canary, which has routes of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from running_gateway import installed, running

from bench.processes import end_with_cleaning, free_port
from bench.processes import running as running_process
from cloche.targets.local.envoy.services import (
    Endpoint,
    GatewayState,
    RevisionEndpoints,
    ServiceRoutes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from running_gateway import Running

KINDS = ("ordinary", "registered", "canary")
_TYPES = "type.googleapis.com/envoy.extensions.filters"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.routing", description=__doc__)
    parser.add_argument("--services", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/routing"))
    arguments = parser.parse_args()
    end_with_cleaning()
    with tempfile.TemporaryDirectory(prefix="cloche-bench-") as folder:
        figures = _measure(Path(folder), arguments.services, arguments.rounds)
    text = _document(figures)
    print(text)
    arguments.out.with_suffix(".md").write_text(text)
    arguments.out.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")


def _measure(folder: Path, count: int, rounds: int) -> dict[str, Any]:
    with _answering(folder) as replica, running(folder, installed()) as gateway:
        services = [
            _service(f"service-{number:03}", replica, registered=number % 2 == 1)
            for number in range(count)
        ]
        _apply(gateway, services)
        figures: dict[str, Any] = {"services": count} | {kind: [] for kind in KINDS}
        for number in range(rounds):
            for kind in KINDS:
                time.sleep(1)  # for the gateway to have read the files of the round before
                weights = (90, 10) if kind == "canary" else (100,)
                name = f"more-{kind}-{number}"
                more = _service(name, replica, weights, registered=kind == "registered")
                figures[kind].append(_apply(gateway, [*services, more]))
                _apply(gateway, services)
                gateway.gateway.sweep()  # as the control plane does when a service is gone
        figures["bytes"] = {
            path.name: path.stat().st_size
            for path in sorted((folder / "gateway").rglob("*.json"))
            if path.parent.name in {"routes", "clusters"}
        }
        return figures


def _service(
    name: str, replica: Endpoint, weights: tuple[int, ...] = (100,), *, registered: bool = False
) -> ServiceRoutes:
    revisions = tuple(
        RevisionEndpoints(number, weight, (replica,), as_streams=True)
        for number, weight in enumerate(weights, start=1)
    )
    aliases = (name.replace("-", "_"),) if registered else ()
    return ServiceRoutes(name, (name,), revisions, plain=(name, *aliases), aliases=aliases)


def _apply(gateway: Running, services: list[ServiceRoutes]) -> float:
    start = time.perf_counter()
    applied = gateway.gateway.apply(GatewayState(tuple(services)))
    assert applied.seen, applied
    return time.perf_counter() - start


@contextlib.contextmanager
def _answering(folder: Path) -> Iterator[Endpoint]:
    """Run a server that answers everything with 200."""
    port = free_port()
    manager = {
        "@type": f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "answering",
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{_TYPES}.http.router.v3.Router"}}
        ],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
                }
            ]
        },
    }
    listener = {
        "name": "answering",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    config = folder / "answering.json"
    config.write_text(json.dumps({"static_resources": {"listeners": [listener]}}))
    command = [
        installed().binary, "--config-path", config, "--concurrency", "1", "--disable-hot-restart",
    ]  # fmt: skip
    address = f"127.0.0.1:{port}"
    with running_process(command, folder / "answering.log", ready=f"http://{address}/"):
        yield Endpoint(address, address)


def _document(figures: dict[str, Any]) -> str:
    def row(what: str, values: list[float]) -> str:
        return f"| {what} | {median(values):.2f} | {min(values):.2f} to {max(values):.2f} |"

    tables = ", ".join(f"{name} {size / 1024:.0f} KiB" for name, size in figures["bytes"].items())
    return (
        "# One more service\n\n"
        f"`make bench-routing`: one service more in a gateway of two processes with"
        f" {figures['services']} services, {len(figures['ordinary'])} rounds: seconds until both"
        " were seen to route it. Every second service has a name in its registry that its server"
        " does not know.\n\n"
        "| | median | spread |\n|---|---|---|\n"
        + row("an ordinary service, s (aim ≤ 0.3)", figures["ordinary"])
        + "\n"
        + row("one that a registry calls otherwise, s (aim ≤ 0.3)", figures["registered"])
        + "\n"
        + row("a service with a canary, which has routes of its own, s", figures["canary"])
        + f"\n\nThe gateway's files: {tables}.\n"
    )


if __name__ == "__main__":
    main()
