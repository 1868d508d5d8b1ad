"""The report at the end of the demo."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from cloche import rendering

if TYPE_CHECKING:
    from cloche.demo.places import Places


def text(result: dict[str, Any], places: Places, cloche: str) -> str:
    """Return the report: steps, results, locations, and commands to try.

    `cloche` is how the reader calls the command line.
    """
    parts = [_outcome(result), _back(result), _where(result, places), _next(result, places, cloche)]
    return "\n\n".join(parts)


def ended_text(ended: dict[str, Any]) -> str:
    """Return the parts that `--stop` ended, a line each."""
    lines = [f"replica {replica['id']}" for replica in ended["replicas"]]
    lines += [f"{part} (process {ended[key]})" for key, part in
              (("gateway", "gateway"), ("control", "control plane"), ("mlflow", "MLflow"))
              if ended[key]]  # fmt: skip
    return "\n".join(f"Ended {line}." for line in lines) or "No demo was running."


def _outcome(result: dict[str, Any]) -> str:
    service, model = result["service"], result["model"]
    rows = [
        (
            protocol.upper() if protocol == "http" else "gRPC",
            str(result["requests"]),
            f"{result['accuracy'][protocol]:.1%}",
            f"{result['latency_ms'][protocol]['p50']:.2f} ms",
            f"{result['latency_ms'][protocol]['p99']:.2f} ms",
        )
        for protocol in ("http", "grpc")
    ]
    model_line = (
        f"MLflow model digits version {model['version']} (alias champion) is revision "
        f"{service['revision']} of service {service['service']}, {service['phase']}."
    )
    golden_line = f"Golden request: {rendering.verification_text(service['verification'])}."
    accuracy_line = (
        f"Accuracy when it was trained: {model['accuracy']:.1%} on {model['held_out']} held-out "
        "scans. The same scans through the gateway, one by one:"
    )
    table = rendering.table(("", "REQUESTS", "ACCURACY", "P50", "P99"), rows)
    return "\n".join([model_line, golden_line, accuracy_line, "", table])


def _back(result: dict[str, Any]) -> str:
    """Return the results of the second version and the rollback."""
    back = result["rollback"]
    model, sent, answered = back["model"], back["requests"], back["answered"]
    first, second = str(back["to"]), str(back["from"])
    headline = (
        f"MLflow model digits version {model['version']} (alias {model['alias']}, accuracy "
        f"{model['accuracy']:.1%}) became revision {second} in {back['deploy_seconds']:.1f} s.\n"
        f"A rollback brought back revision {first} in {back['seconds']:.1f} s. Clients sent scans "
        "all the while:"
    )
    by = f"{answered[first]} by revision {first}, {answered[second]} by revision {second}"
    counts = rendering.fields(
        [
            ("sent", f"{sent['http']} requests over HTTP, {sent['grpc']} over gRPC"),
            ("answered", f"{by} (HTTP; its answers say which)"),
            ("lost", str(back["lost"])),
        ]
    )
    failures = [f"  {failure}" for failure in back["failures"]]
    return "\n".join([headline, "", counts, *failures])


def _where(result: dict[str, Any], places: Places) -> str:
    return rendering.fields(
        [
            ("MLflow", result["mlflow"]),
            ("gateway", result["service"]["http"]),
            ("gRPC", result["service"]["grpc"]),
            ("registry files", str(places.registry)),
            ("Cloche's files", result["home"]),
        ]
    )


def _next(result: dict[str, Any], places: Places, cloche: str) -> str:
    if not result["kept"]:
        return (
            f"The demo has ended ({result['seconds']:.0f} s); its files remain.\n"
            f"`{cloche} demo --keep` leaves it running, to try it yourself."
        )
    back_to = result["rollback"]["from"]
    tries = [
        "status",
        "infer digits --example",
        "verify digits",
        "plan models:/digits@champion --why",
        "history digits",
        f"rollback digits --to {back_to}",
    ]
    home = shlex.quote(str(places.outer.home))
    return "\n".join(
        [
            "The demo is left running. Try:",
            f"  export CLOCHE_HOME={shlex.quote(result['home'])}",
            f"  export MLFLOW_TRACKING_URI={result['mlflow']}",
            *(f"  {cloche} {arguments}" for arguments in tries),
            f"End it with: CLOCHE_HOME={home} {cloche} demo --stop",
        ]
    )
