"""The demo itself, step by step; whatever happens, what it started is ended."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from cloche.demo import ending, registry, traffic

if TYPE_CHECKING:
    import subprocess

    from cloche.demo.places import Places
    from cloche.progress import Progress

REFERENCE = "models:/digits@champion"
ROLLOUT_SECONDS = 300.0


def run(places: Places, progress: Progress, *, keep: bool) -> dict[str, Any]:
    """Train, register, deploy and ask; returns what the report shows."""
    places = places.made_anew()
    python = registry.environment(places, progress)
    with ExitStack() as started:
        started.callback(_end_uninterrupted, places, progress)
        server = registry.start_server(python, places)
        training = registry.start_training(python, places)
        started.callback(_end_child, training)
        _provision(places, progress)
        title = "Starting MLflow, training and registering a model"
        with progress.step(title) as step:
            model = registry.trained(training, server, places, step)
        service = _deploy(places, progress)
        with progress.step("Sending every held-out scan over HTTP and gRPC") as step:
            measured = traffic.measure(service, places.registry / "held_out.npz", step)
        result = {
            "model": {"name": "digits", "alias": "champion", **model},
            "service": service,
            **measured,
            "mlflow": places.tracking_uri,
            "home": str(places.inner.home),
            "kept": keep,
        }
        if keep:
            started.pop_all()
    return result


def _provision(places: Places, progress: Progress) -> None:
    """Install Triton and Envoy in the user's own home, where every later deploy finds them."""
    from cloche.servers import triton
    from cloche.targets.local.envoy import installation as envoy

    triton.install(places.outer.layout.servers, progress)
    envoy.install(places.outer.layout.servers, progress)


def _deploy(places: Places, progress: Progress) -> dict[str, Any]:
    """Do what `cloche deploy models:/digits@champion` does, and return the same object."""
    with places.client(progress) as client:
        result = client.deploy(REFERENCE, timeout=ROLLOUT_SECONDS)
        status = client.status(result.service)
    shown = ("model", "http", "grpc", "verification")
    return {
        "service": result.service,
        "revision": status["revision"],
        "phase": status["phase"],
        "change": result.change,
        **{key: status[key] for key in shown},
        "replicas": {key: status["replicas"][key] for key in ("wanted", "ready")},
        "failure": status["failure"],
    }


def _end_uninterrupted(places: Places, progress: Progress) -> None:
    """End everything, and let no second ctrl-C leave half of it running."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ending.end(places, progress)
    finally:
        signal.signal(signal.SIGINT, before)


def _end_child(process: subprocess.Popen[str]) -> None:
    ending.end_tree(process.pid)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
