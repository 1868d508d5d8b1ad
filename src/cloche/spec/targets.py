"""The named places of a spec, each of a kind: what differs there."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from cloche.artifacts import (
    Expose,
    Exposure,
    KubernetesPlace,
    PodOptions,
    ScaledBy,
    WeightsFrom,
)
from cloche.spec import names
from cloche.spec.gpus import Gpus
from cloche.spec.quantities import Duration, Memory, Processors, Replicas, problem
from cloche.spec.scaling import Autoscale
from cloche.spec.sections import Section

_SUBDOMAIN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
_REGISTRY = r"^[A-Za-z0-9.-]+(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$"

Label = Annotated[str, StringConstraints(pattern=f"^{names.LABEL}$")]
"""The name of something in a cluster, as RFC 1123 has labels."""
Subdomain = Annotated[str, StringConstraints(pattern=f"^{_SUBDOMAIN}$", max_length=253)]
LabelKey = Annotated[
    str, StringConstraints(pattern=rf"^({_SUBDOMAIN}/)?[A-Za-z0-9]([\w.-]{{0,61}}[A-Za-z0-9])?$")
]
LabelValue = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$")
]


class Limits(Section):
    """What a pod may take at most."""

    cpu: Processors | None = None
    """Processors; left out, there is no limit."""
    memory: Memory | None = None
    """Memory; left out, what `resources.memory` asks for."""


class TargetResources(Section):
    """What a pod gets and may take at a target."""

    limits: Limits = Limits()
    gpu: Gpus | None = None
    """GPUs of each pod there, if not as many as elsewhere; 0 for none."""


class Toleration(Section):
    """A taint of nodes that pods of the service accept, in the words of Kubernetes."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: Annotated[int | None, Field(alias="tolerationSeconds", ge=0)] = None

    @model_validator(mode="after")
    def _names_a_taint(self) -> Toleration:
        if self.key is None and self.operator != "Exists":
            hint = "Write its key, or operator: Exists for all taints."
            raise problem("it names no taint", hint)
        return self


class KubernetesTarget(Section):
    """A namespace of a Kubernetes cluster."""

    kind: Literal["kubernetes"]
    """What kind of place it is: kubernetes."""
    context: Annotated[str, Field(min_length=1, max_length=253)]
    """The context of your kubeconfig; the current one is never used."""
    namespace: Label
    """The namespace, which exists."""
    registry: Annotated[str, Field(pattern=_REGISTRY)]
    """Where its images are, such as registry.example.com/vision; the service's name is added."""
    base: Annotated[str | None, Field(min_length=1)] = None
    """The image that images are made on, as --base of `cloche image build` has it."""
    expose: Literal["clusterip", "gateway", "loadbalancer"] = "clusterip"
    """From where the service is reached: clusterip (the cluster), gateway (a Gateway of the
    cluster, on `host`) or loadbalancer (which may be public); default clusterip."""
    gateway: Annotated[
        str | None, Field(pattern=rf"^({names.LABEL}/)?{_SUBDOMAIN}$")
    ] = None  # fmt: skip
    """The Gateway that carries the service, as NAMESPACE/NAME."""
    host: Subdomain | None = None
    """The hostname of the service at that Gateway."""
    weights: Literal["image", "volume", "auto"] = "image"
    """What brings the model to its pods: image (the whole image, which runs on every node), volume
    (an image volume beside the server's image) or auto (a volume if every node can mount it now);
    default image."""
    prometheus: Label | None = None
    """The namespace whose Prometheus may read the metrics."""
    prometheus_url: Annotated[
        str | None, Field(pattern=r"^https?://[A-Za-z0-9.-]+(:\d+)?(/[\w./-]*)?$")
    ] = None
    """Where the cluster asks that Prometheus, such as http://prometheus.monitoring.svc:9090; what
    autoscale follows is read there."""
    scrape_interval: Duration | None = None
    """How often that Prometheus reads the metrics of a pod; default 5s where its operator is
    there, else 15s."""
    replicas: Replicas | None = None
    """How many pods answer there, if not as many as elsewhere."""
    autoscale: Autoscale | None = None
    """What the number of pods follows there, where `replicas` is a range."""
    autoscaler: Literal["keda", "prometheus-adapter"] = "keda"
    """What reads the metrics that autoscale follows: keda, or prometheus-adapter with the rules of
    `cloche export prometheus-adapter`; default keda."""
    resources: TargetResources = TargetResources()
    pull_secret: Subdomain | None = None
    """The secret with which nodes pull from the registry."""
    node_selector: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    """Labels that a node must have."""
    tolerations: tuple[Toleration, ...] = ()
    """Taints of nodes that the pods accept."""
    runtime_class: Subdomain | None = None
    """The RuntimeClass of the pods, such as nvidia."""
    priority_class: Subdomain | None = None
    """The PriorityClass of the pods."""
    service_account: Subdomain | None = None
    """An account for the pods that exists; left out, they get one of their own with no rights."""
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    """Labels that all its objects get."""
    annotations: dict[LabelKey, str] = Field(default_factory=dict)
    """Annotations that all its objects get."""
    patches: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """A strategic merge patch of the pods: {Deployment: {spec: {template: …}}}."""

    @field_validator("labels", "annotations")
    @classmethod
    def _are_not_ours(cls, given: dict[str, str]) -> dict[str, str]:
        for key in given:
            if re.match(r"(cloche\.dev|app\.kubernetes\.io)/", key):
                raise problem(f"{key} is set by Cloche", "Remove it.")
        return given

    @field_validator("node_selector")
    @classmethod
    def _is_no_platform(cls, given: dict[str, str]) -> dict[str, str]:
        for key in given:
            if key in {"kubernetes.io/os", "kubernetes.io/arch"}:
                raise problem(f"{key} is set by Cloche: it is that of the image", "Remove it.")
        return given

    @field_validator("patches")
    @classmethod
    def _patches_are_of_pods(cls, given: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        hint = "Write patches: {Deployment: {spec: {template: …}}}."
        for kind, patch in given.items():
            if kind != "Deployment":
                raise problem(f"{kind} cannot be patched; pods can", hint)
            inner = patch.get("spec") if set(patch) == {"spec"} else None
            if not isinstance(inner, dict) or set(inner) != {"template"}:
                raise problem("only spec.template of a Deployment can be patched", hint)
        return given

    @model_validator(mode="after")
    def _gateway_has_a_host(self) -> KubernetesTarget:
        wanted = {"gateway": self.gateway, "host": self.host}
        if self.expose == "gateway":
            missing = [key for key, value in wanted.items() if value is None]
            if missing:
                hint = "Write gateway: NAMESPACE/NAME and host: NAME.EXAMPLE.COM."
                raise problem(f"expose: gateway needs {' and '.join(missing)}", hint)
            return self
        given = [key for key, value in wanted.items() if value is not None]
        if given:
            hint = "Write expose: gateway, or remove it."
            raise problem(f"{' and '.join(given)} means nothing with expose: {self.expose}", hint)
        return self

    def place(self, name: str) -> KubernetesPlace:
        """Return the place that this describes."""
        return KubernetesPlace(
            name=name,
            context=self.context,
            namespace=self.namespace,
            registry=self.registry.rstrip("/"),
            base=self.base,
            exposure=self._exposure(),
            weights=WeightsFrom(self.weights),
            pods=PodOptions(
                pull_secret=self.pull_secret,
                node_selector=self.node_selector,
                tolerations=tuple(
                    each.model_dump(by_alias=True, exclude_none=True) for each in self.tolerations
                ),
                runtime_class=self.runtime_class,
                priority_class=self.priority_class,
                service_account=self.service_account,
                labels=self.labels,
                annotations=self.annotations,
                cpu_limit=self.resources.limits.cpu,
                memory_limit=self.resources.limits.memory,
                patches=self.patches,
            ),
        )

    def _exposure(self) -> Exposure:
        gateway = self.gateway
        if gateway is not None and "/" not in gateway:
            gateway = f"{self.namespace}/{gateway}"
        interval = self.scrape_interval
        return Exposure(
            Expose(self.expose), gateway, self.host, self.prometheus,
            prometheus_url=self.prometheus_url and self.prometheus_url.rstrip("/"),
            scrape_interval=None if interval is None else interval / 1e6,
            scaled_by=ScaledBy(self.autoscaler),
        )  # fmt: skip
