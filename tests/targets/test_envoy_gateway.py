"""What the gateway's files say while no gateway runs, and when routes may change."""

from __future__ import annotations

import dataclasses
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from cloche.errors import ClocheError
from cloche.settings import Settings
from cloche.targets.local import socket_folder
from cloche.targets.local.envoy import routes, sockets, xds
from cloche.targets.local.envoy.admin import socket_path
from cloche.targets.local.envoy.gateway import EnvoyGateway
from cloche.targets.local.envoy.installation import EnvoyInstallation
from cloche.targets.local.envoy.services import (
    Endpoint,
    GatewayState,
    RevisionEndpoints,
    ServiceRoutes,
)
from cloche.targets.local.envoy.switching import ready_to_switch


def installed() -> EnvoyInstallation:
    return EnvoyInstallation("0", Path("/nowhere/envoy"))


def at(port: int) -> Endpoint:
    return Endpoint(f"127.0.0.1:{port}", f"127.0.0.1:{port + 100}")


def state(*weights: int, port: int = 18001) -> GatewayState:
    revisions = tuple(
        RevisionEndpoints(number, weight, (at(port + number),))
        for number, weight in enumerate(weights, start=1)
    )
    return GatewayState((ServiceRoutes("a", ("a",), revisions),))


@pytest.fixture
def gateway(tmp_path: Path) -> EnvoyGateway:
    settings = Settings(home=tmp_path, gateway_port=18080)
    made = EnvoyGateway(tmp_path / "g", settings, installed, tmp_path.joinpath)
    made.prepare()
    return made


def cluster_names(gateway: EnvoyGateway) -> list[str]:
    return [
        each["name"] for each in xds.read_resources(gateway.folder / "clusters" / "clusters.json")
    ]


def test_without_a_process_everything_is_written_for_its_start(gateway: EnvoyGateway) -> None:
    applied = gateway.apply(state(100))
    assert (applied.seen, applied.held) == (False, ())
    assert cluster_names(gateway) == ["a.r1.grpc", "a.r1.http"]
    (table,) = xds.read_resources(gateway.folder / "routes" / "cloche.http.json")
    assert routes.clusters_of(table) == {"a.r1.grpc", "a.r1.http"}
    assert not any(process.ready() for process in gateway.processes)
    assert gateway.seen_routes() == ()
    assert gateway.is_done_with(at(18002))


def test_what_lost_its_routes_goes_once_it_has_no_request(gateway: EnvoyGateway) -> None:
    gateway.apply(state(100, 0))
    gateway.apply(GatewayState())
    assert len(cluster_names(gateway)) == 4
    assert gateway.sweep() == ()
    assert cluster_names(gateway) == []


def test_a_new_object_over_the_same_folder_goes_on(gateway: EnvoyGateway) -> None:
    gateway.apply(state(100))
    files = {p: p.read_bytes() for p in gateway.folder.rglob("*.json")}
    other = EnvoyGateway(gateway.folder, gateway.settings, installed, gateway.folder.joinpath)
    other.prepare()
    other.apply(state(100))
    assert {p: p.read_bytes() for p in gateway.folder.rglob("*.json")} == files


def test_a_change_that_was_cut_off_leaves_no_route_without_its_cluster(
    gateway: EnvoyGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.apply(state(100))
    replace = xds.replace

    def killed(path: Path, data: bytes, **more: Any) -> None:
        if path.name == "applied.json":
            raise KeyboardInterrupt
        replace(path, data, **more)

    monkeypatch.setattr(xds, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        gateway.apply(state(0, 100))
    monkeypatch.setattr(xds, "replace", replace)
    assert gateway.sweep() == ()
    assert cluster_names(gateway) == ["a.r1.grpc", "a.r1.http", "a.r2.grpc", "a.r2.http"]
    gateway.apply(GatewayState())
    gateway.sweep()
    assert cluster_names(gateway) == []


def test_only_the_cluster_whose_endpoints_change_is_another(gateway: EnvoyGateway) -> None:
    def written() -> dict[str, Any]:
        file = gateway.folder / "clusters" / "clusters.json"
        return {each["name"]: each for each in xds.read_resources(file)}

    (service,) = state(100).services
    other = dataclasses.replace(service, name="b")
    gateway.apply(GatewayState((service, other)))
    before = written()
    (moved,) = state(100, port=19001).services
    gateway.apply(GatewayState((moved, other)))
    after = written()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"a.r1.grpc", "a.r1.http"}
    assert "19002" in json.dumps(after["a.r1.http"])


@pytest.mark.parametrize(
    ("before", "wanted", "healthy", "expected"),
    [
        (GatewayState(), state(100), set(), True),
        (state(100), state(100), set(), True),
        (state(100), state(0, 100), set(), False),
        (state(100), state(0, 100), {2}, True),
        (state(100), state(90, 10), set(), False),
        (state(90, 10), state(0, 100), set(), True),
        (state(100), state(100, 0), set(), True),
    ],
)
def test_routes_change_only_to_replicas_that_were_seen_healthy(
    before: GatewayState, wanted: GatewayState, healthy: set[int], *, expected: bool
) -> None:
    names = {f"a.r{number}.{protocol}" for number in healthy for protocol in ("http", "grpc")}
    assert list(ready_to_switch(before, wanted, names)) == (["a"] if expected else [])


def test_the_environment_of_the_process_holds_nothing_of_the_user(
    gateway: EnvoyGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    _, environment = gateway.processes[0].command(Path("/envoy"))
    assert set(environment) == {"PATH"}


def test_who_has_the_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ClocheError) as caught:
            sockets.check("127.0.0.1", port)
    assert caught.value.code == "gateway.port_taken"
    assert "(pid " in caught.value.what
    assert "CLOCHE_GATEWAY_PORT" in (caught.value.hint or "")
    sockets.check("127.0.0.1", port)


def test_an_address_of_another_machine_is_said() -> None:
    with pytest.raises(ClocheError) as caught:
        sockets.check("192.0.2.1", 18080)
    assert caught.value.code == "gateway.port_unusable"


def test_the_admin_socket_fits_its_address_and_is_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert socket_path(Path("/short")) == Path("/short/admin.sock")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    path = socket_path(tmp_path / ("long" * 40))
    assert path != socket_path(tmp_path / ("other" * 40))
    socket_folder.make(path.parent)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.parent.chmod(0o755)
    socket_folder.make(path.parent)
    assert path.parent.stat().st_mode & 0o777 == 0o700
