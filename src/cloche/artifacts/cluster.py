"""A named place in a Kubernetes cluster, and how a service is reached there."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Expose(enum.StrEnum):
    """From where a service can be reached."""

    CLUSTERIP = "clusterip"
    """Inside the cluster."""
    GATEWAY = "gateway"
    """Through a Gateway of the cluster, on a hostname of its own."""
    LOADBALANCER = "loadbalancer"
    """Through a load balancer of the cloud, which may be public."""


class ScaledBy(enum.StrEnum):
    """What reads the metrics that the number of replicas follows."""

    KEDA = "keda"
    """KEDA, which asks Prometheus itself."""
    PROMETHEUS_ADAPTER = "prometheus-adapter"
    """prometheus-adapter, which serves them to Kubernetes by its rules."""


class WeightsFrom(enum.StrEnum):
    """What brings the weights of a model to its pods."""

    IMAGE = "image"
    """The image of the service, which has all in it."""
    VOLUME = "volume"
    """An image of the models alone, which is mounted beside that of the server."""
    AUTO = "auto"
    """A volume where every node can mount one, else the image."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """Who reaches a service in a cluster; it changes in place."""

    expose: Expose = Expose.CLUSTERIP
    gateway: str | None = None
    """The Gateway, as `namespace/name`."""
    host: str | None = None
    """The hostname of the service at that Gateway."""
    prometheus: str | None = None
    """The namespace whose Prometheus reads the metrics."""
    prometheus_url: str | None = None
    """Base URL of that Prometheus, as the cluster reaches it."""
    scrape_interval: float | None = None
    """Seconds between two readings of a pod's metrics; None for the default."""
    scaled_by: ScaledBy = ScaledBy.KEDA


@dataclass(frozen=True, slots=True)
class PodOptions:
    """What a cluster asks of pods that run there."""

    pull_secret: str | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    runtime_class: str | None = None
    priority_class: str | None = None
    service_account: str | None = None
    """An account that exists already; None for one of the service's own, which has no rights."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    cpu_limit: float | None = None
    """Processors; None for no limit."""
    memory_limit: int | None = None
    """Bytes; None for what is asked for."""
    patches: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Strategic merge patches of objects, by kind."""


@dataclass(frozen=True, slots=True)
class KubernetesPlace:
    """A target of the kind kubernetes."""

    name: str
    context: str
    """Of the kubeconfig; the current one is never used."""
    namespace: str
    registry: str
    """Host and path, to which the name of a service is added: `registry.example.com/vision`."""
    base: str | None = None
    """The image that images are made on; None for the default."""
    exposure: Exposure = field(default_factory=Exposure)
    pods: PodOptions = field(default_factory=PodOptions)
    weights: WeightsFrom = WeightsFrom.IMAGE
