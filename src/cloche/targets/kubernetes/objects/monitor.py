"""The PodMonitor of a service, by which a Prometheus of the operator finds its metrics."""

from __future__ import annotations

from typing import Any

from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.objects import metadata


def of(service: str, namespace: str, interval: float | None) -> dict[str, Any]:
    """Return the monitor; each metric gets the number of the revision as a label.

    `interval` is the seconds between two readings; None for what that Prometheus does otherwise.
    """
    often = {} if interval is None else {"interval": f"{round(interval * 1000)}ms"}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": metadata.of_service(service, namespace),
        "spec": {
            "selector": {"matchLabels": names.selector(service)},
            "podTargetLabels": [names.SERVICE, names.REVISION],
            "podMetricsEndpoints": [{"port": "metrics", "path": "/metrics", **often}],
        },
    }
