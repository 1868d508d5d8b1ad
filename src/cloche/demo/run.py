"""The steps of the demo; everything that it starts is ended, even after an error."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from cloche.artifacts import deploy_view
from cloche.demo import ending, registry, traffic, versions
from cloche.demo.load import Load

if TYPE_CHECKING:
    import subprocess

    from cloche.client import Client
    from cloche.demo.places import Places
    from cloche.progress import Progress

REFERENCE = "models:/digits@champion"


def run(places: Places, progress: Progress, *, keep: bool) -> dict[str, Any]:
    """Train, register, deploy, ask, deploy another version and roll back.

    Returns the content of the report.
    """
    places = places.renew()
    python = registry.environment(places, progress)
    with ExitStack() as started:
        started.callback(_end_uninterrupted, places, progress)
        server = registry.start_server(python, places)
        training = registry.start_training(python, places)
        started.callback(_end_child, training)
        _provision(places, progress)
        title = "Starting MLflow, training and registering two versions"
        with progress.task(title) as task:
            models = registry.training_result(training, server, places, task)
        pixels, labels = traffic.scans(places.registry / "held_out.npz")
        with places.client(progress) as client:
            service = _deploy(client)
            with progress.task("Sending every held-out scan over HTTP and gRPC") as task:
                measured = traffic.measure(service, pixels, labels, task)
            back = versions.there_and_back(client, service, Load(service, pixels), progress)
        model, other = (
            {"name": "digits", "alias": alias, **models[alias]}
            for alias in ("champion", "challenger")
        )
        result = {
            "model": model,
            "service": service,
            **measured,
            "rollback": {"model": other, **back},
            "mlflow": places.tracking_uri,
            "home": str(places.inner.home),
            "kept": keep,
        }
        if keep:
            started.pop_all()
    return result


def _provision(places: Places, progress: Progress) -> None:
    """Install Triton and Envoy in the user's own home, for later deploys."""
    from cloche import composition

    composition.installations(places.outer).install(progress)


def _deploy(client: Client) -> dict[str, Any]:
    """Do `cloche deploy models:/digits@champion`, and return the same object."""
    result = client.deploy(REFERENCE, timeout=versions.ROLLOUT_SECONDS)
    return deploy_view(result.revision, client.status(result.service), result.change)


def _end_uninterrupted(places: Places, progress: Progress) -> None:
    """End everything, ignoring a second ctrl-C, which would leave parts running."""
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
