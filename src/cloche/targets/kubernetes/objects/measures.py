"""What an autoscaler measures: queries of Prometheus (PromQL) about the pods of a revision.

The metrics are Triton's (`nv_inference_…`) and those of NVIDIA's DCGM exporter. A query has one
value while the pods are scraped, 0 without requests, and none once their metrics are lost: a lost
metric must not look like an idle service.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.targets.kubernetes import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.artifacts import Autoscale
    from cloche.targets.desired import Placement

_SAMPLES = 4
"""Readings that a rate is made of: with one missed there are still two."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One number that an autoscaler follows."""

    name: str
    query: str
    threshold: float
    """What one replica is to carry, or, if not `per_replica`, what all are to stay below."""
    per_replica: bool
    """Whether the query's value is a sum that the replicas share."""


def of(
    placement: Placement, namespace: str, autoscale: Autoscale, interval: float
) -> Iterator[Measure]:
    """Yield the measures of a revision; `interval` is the seconds between two readings."""
    pods = f'namespace="{namespace}",pod=~"{_pods(placement)}"'
    model = f'{pods},model="{placement.repository.main.name}"'
    within = window(interval)
    if autoscale.requests_per_second is not None:
        query = _requests(model, within)
        yield Measure("requests-per-second", query, autoscale.requests_per_second, True)
    if autoscale.queue_time is not None:
        yield Measure(
            "queue-time-ms", _queue(pods, model, within), autoscale.queue_time * 1e3, False
        )
    if autoscale.gpu_utilization is not None:
        yield Measure("gpu-utilization", _gpus(pods), autoscale.gpu_utilization, False)


def window(interval: float) -> str:
    """Return the time over which a rate is taken, as PromQL has it."""
    return f"[{round(interval * _SAMPLES * 1000)}ms]"


def _pods(placement: Placement) -> str:
    """Return a pattern of the names of a revision's pods: `NAME-HASH-ID`, and of no other's."""
    return f"{names.of_revision(placement.service, placement.revision)}-[a-z0-9]+-[a-z0-9]+"


def _requests(model: str, within: str) -> str:
    """Return requests a second, refused ones too: they are load as well."""
    answered = f"sum(rate(nv_inference_request_success{{{model}}}{within}))"
    refused = f"(sum(rate(nv_inference_request_failure{{{model}}}{within})) or vector(0))"
    return f"{answered} + {refused}"


def _queue(pods: str, model: str, within: str) -> str:
    """Return the milliseconds that a request waits in its models' queues, on average."""
    waited = f"sum(rate(nv_inference_queue_duration_us{{{pods}}}{within})) / 1000"
    answered = f"sum(rate(nv_inference_request_success{{{model}}}{within}))"
    return f"{waited} / ({answered} > 0) or 0 * {answered}"


def _gpus(pods: str) -> str:
    """Return the mean percent of the GPUs; whose labels are `pod` depends on the scrape."""
    exported = pods.replace("namespace=", "exported_namespace=").replace("pod=", "exported_pod=")
    return f"avg(DCGM_FI_DEV_GPU_UTIL{{{exported}}} or DCGM_FI_DEV_GPU_UTIL{{{pods}}})"
