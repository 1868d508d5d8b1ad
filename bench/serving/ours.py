"""Cloche through its gateway, and its parts: bare Triton, Triton behind nginx, no server."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.environments import home_in
from bench.processes import free_port, running
from bench.serving.load import Endpoint
from bench.serving.peers import v2_binary, v2_json
from cloche import composition, pipeline, settings, spec
from cloche.home import HomeLayout
from cloche.progress import SilentProgress
from cloche.servers import ServerAddresses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.serving.models import BenchModel

_JSON = {"Content-Type": "application/json"}


class Cloche:
    """`cloche deploy MODEL`, with its default configuration."""

    name = "cloche"
    settings = "as `cloche deploy` makes it, nothing set; requests through the gateway"

    @contextlib.contextmanager
    def serving(self, model: BenchModel, folder: Path) -> Iterator[dict[str, Endpoint]]:
        with deployed(model.path, model.name, home_in(folder)) as (service, gateway):
            yield _endpoints(model, service["http"], (gateway["pid"],))


class BareTriton:
    """The wheel's Triton with Cloche's backend and repository, and nothing in front."""

    name = "triton"
    settings = "2.51 from the wheel, Cloche's repository and onnxruntime backend, no proxy"

    @contextlib.contextmanager
    def serving(self, model: BenchModel, folder: Path) -> Iterator[dict[str, Endpoint]]:
        with _triton(model, folder) as url:
            yield _endpoints(model, f"{url}/v2/models/{model.name}/infer")


class TritonBehindNginx:
    """The same Triton behind nginx as a plain reverse proxy with kept connections."""

    name = "triton+nginx"
    settings = "the same behind nginx: 1 worker, upstream keepalive 64, access log off"

    @contextlib.contextmanager
    def serving(self, model: BenchModel, folder: Path) -> Iterator[dict[str, Endpoint]]:
        nginx = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
        if nginx is None:
            raise SystemExit("The bench needs nginx. Install it: apt-get install nginx-light")
        port = free_port()
        with _triton(model, folder) as url:
            configuration = folder / "nginx.conf"
            configuration.write_text(_NGINX.format(folder=folder, port=port, server=url[7:]))
            infer = f"http://127.0.0.1:{port}/v2/models/{model.name}"
            with running(
                [nginx, "-c", configuration, "-p", folder], folder / "nginx.log",
                ready=f"{infer}/ready",
            ) as process:  # fmt: skip
                yield _endpoints(model, f"{infer}/infer", (process.pid,))


@dataclass(frozen=True, slots=True)
class _InProcess:
    """Takes the place of an endpoint: `connections` picks single rows or whole batches."""

    python: Path
    model: BenchModel

    def measure(self, connections: int, seconds: int, folder: Path) -> dict[str, Any]:
        script = Path(__file__).parent / "peer_servers" / "raw_onnxruntime.py"
        batch = self.model.max_batch_size if connections > 1 else 1
        output = subprocess.run(
            [self.python, script, self.model.path, str(batch), str(seconds)],
            check=True, capture_output=True, text=True, timeout=seconds + 60, cwd=folder,
        ).stdout  # fmt: skip
        return dict(json.loads(output))


class RawOnnxRuntime:
    """The same ONNX Runtime in a separate process, without a server."""

    name = "onnxruntime"
    settings = "in process, default threads; one row a call, or whole batches for 32 connections"

    @contextlib.contextmanager
    def serving(self, model: BenchModel, folder: Path) -> Iterator[dict[str, Any]]:
        installed = composition.server().install(
            HomeLayout(home_in(folder)).servers, SilentProgress()
        )
        yield {"binary": _InProcess(installed.interpreter, model)}


@contextlib.contextmanager
def deployed(model: Path, name: str, home: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Deploy a file with the command line; yield the JSON of the deploy and of the gateway."""
    environment = {
        **os.environ, "CLOCHE_HOME": str(home), "CLOCHE_GATEWAY_PORT": str(free_port()),
    }  # fmt: skip

    def cloche(*words: str) -> dict[str, Any]:
        output = subprocess.run(
            [sys.executable, "-m", "cloche", *words], check=True, stdout=subprocess.PIPE,
            env=environment, timeout=600,
        ).stdout  # fmt: skip
        return dict(json.loads(output))

    try:
        service = cloche("deploy", str(model), "--name", name, "--json")
        yield service, cloche("status", "--json")["gateway"]
    finally:
        subprocess.run(
            [sys.executable, "-m", "cloche", "down"], check=False, env=environment, timeout=120,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip


@contextlib.contextmanager
def _triton(model: BenchModel, folder: Path) -> Iterator[str]:
    """Run the server of `cloche deploy` on its own; yield its base URL."""
    home = settings.Settings(home=home_in(folder))
    prepared = pipeline.prepare(
        spec.from_reference(str(model.path), model.name),
        directory=folder, settings=home, progress=SilentProgress(),
    )  # fmt: skip
    installed = composition.server().install(home.layout.servers, SilentProgress())
    tree = composition.store(home).tree_path(prepared.repository.digest)
    serving = folder / "serving"
    installed.lay_out(serving, tree, models=prepared.repository.models, environment=None)
    addresses = ServerAddresses(*(f"127.0.0.1:{free_port()}" for _ in range(3)))
    command = installed.command(serving, addresses, identity=f"bench-{model.name}")
    url = f"http://{addresses.http}"
    with running(
        command.argv, folder / "triton.log", ready=f"{url}/v2/health/ready",
        environment=command.env,
    ):  # fmt: skip
        yield url


def _endpoints(model: BenchModel, url: str, proxies: tuple[int, ...] = ()) -> dict[str, Endpoint]:
    body, headers = v2_binary(model)
    return {
        "json": Endpoint(url, v2_json(model), _JSON, proxies),
        "binary": Endpoint(url, body, headers, proxies),
    }


_NGINX = """
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 256m;
  client_body_buffer_size 8m;
  keepalive_requests 10000000;
  upstream triton {{ server {server}; keepalive 64; keepalive_requests 10000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://triton;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
  }}
}}
"""
