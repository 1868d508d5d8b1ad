"""The spec of a service: its model, and how it is batched, run and served."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    ConfigDict,
    Field,
    PrivateAttr,
    Strict,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cloche import artifacts
from cloche.artifacts import Capacity, Operated, ReplicaRange, Runtime, Served
from cloche.artifacts.service import DEFAULT_REPLICAS
from cloche.errors import UsageError
from cloche.spec import names, scaling
from cloche.spec.inputs import Inputs
from cloche.spec.quantities import Replicas, StartTimeout, Timeout, Tolerance, problem
from cloche.spec.scaling import Autoscale
from cloche.spec.sections import Batching, Health, Resources, Rollout, Sandbox, Section, Server
from cloche.spec.targets import KubernetesTarget, Label

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import KubernetesPlace

T = TypeVar("T")

CLASS = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"
"""A class by its module: `package.module.Name`."""


class ServiceSpec(Section):
    """The declaration of a service; Cloche chooses the rest, with a reason for each value.

    Durations are microseconds and sizes bytes; both are read and written with units.
    """

    model_config = ConfigDict(title="cloche.yaml")

    name: str | None = None
    """The service's name; left out, it is taken from the model's. An RFC 1123 label."""
    model: str
    """Where the model is: models:/NAME@ALIAS, runs:/RUN/PATH, hf://ORG/NAME@REVISION, or a path
    from this file."""
    example: str | None = None
    """A request that the model can answer: a JSON, .npy, .npz, CSV or image file, a path from this
    file. Each new revision has to answer it before it gets traffic."""
    labels: str | None = None
    """The names of the model's classes: a file with one on each line, a path from this file."""
    class_name: Annotated[str | None, Field(alias="class", pattern=CLASS)] = None
    """For a file of weights alone: the class or function that makes its module, such as
    torchvision.models.resnet50."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """The keyword arguments of that class, such as num_classes: 10."""
    signature: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Which signature of a TensorFlow SavedModel is served, where it has several."""
    inputs: Inputs = Field(default_factory=dict)
    """What the model takes, where nothing else tells: names with shape and datatype, such as
    image: FP32 [batch, 3, 224, 224]."""
    requirements: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """What the model's environment needs, a requirement each, in place of what its files record."""
    python: Annotated[str, Field(pattern=r"^3\.\d{1,2}$")] | None = None
    """The Python of that environment, such as "3.12", for files that name none."""
    method: (
        Literal["predict", "predict_proba", "decision_function", "transform", "score_samples"]
        | None
    ) = None
    """What of a scikit-learn, XGBoost or LightGBM model answers: predict, predict_proba,
    decision_function, transform or score_samples; left out, label and probabilities of a
    classifier, and predict of any other."""
    trust: Annotated[bool, Strict()] = False
    """Whether a model may run code that is not known to be safe: that of a public hub, and Lambda
    layers of Keras; default false."""
    conversion: Literal["auto", "off", "required"] = "auto"
    """Whether the model is converted to ONNX: auto (if the answers agree), off or required."""
    tolerance: Tolerance | None = None
    """How far the floats of a converted model may be from the original's, as a fraction of an
    output's largest value, at most 0.01; default 1e-4 for FP32 and 2e-3 for FP16."""
    batching: Batching = Batching()
    instances: Annotated[int, Strict(), Field(ge=1, le=256)] | None = None
    """How many copies of the model one replica holds."""
    resources: Resources = Resources()
    replicas: Replicas = ReplicaRange.exactly(DEFAULT_REPLICAS)
    """How many servers answer."""
    autoscale: Autoscale | None = None
    """What the number of replicas follows where `replicas` is a range; this machine runs the
    smallest number."""
    start_timeout: StartTimeout | None = None
    """How long a server may take to load its model, and the model's direct run; default 10m."""
    timeout: Timeout | None = None
    """How long a request may take; then it is answered 504; default 60s on this machine."""
    health: Health = Health()
    runtime: Literal["process", "container"] | None = None
    """What a replica on this machine is: process, of the server's own program, or container, of the
    service's image in Docker or Podman; default process where that program runs."""
    require_verification: Annotated[bool, Strict()] = False
    """Whether a revision goes live only if the values of its answer were compared, with expected
    ones or with those of the model's own framework; default false."""
    rollout: Rollout = Rollout()
    server: Server = Server()
    sandbox: Sandbox = Sandbox()
    targets: dict[Label, KubernetesTarget] = Field(default_factory=dict)
    """Named places beside this machine, for --target: what differs there."""
    _derived: bool = PrivateAttr(default=False)

    @field_validator("name")
    @classmethod
    def _name_is_safe(cls, name: str | None) -> str | None:
        if name is None or names.is_safe(name):
            return name
        proposal = names.corrected(name)
        raise problem(
            f"{name!r} is not safe in DNS: use a-z, 0-9 and inner dashes, at most 63 characters",
            f"Write name: {proposal}" if proposal else "Write a name such as my-model.",
        )

    @field_validator("model")
    @classmethod
    def _model_is_written(cls, model: str) -> str:
        if not model.strip():
            raise problem("it is empty", "Write one like models:/NAME@ALIAS or ./model.onnx.")
        if not model.isprintable() or len(model) > 4096:
            raise problem("it is not one line of text", "Write one like models:/NAME@ALIAS.")
        return model.strip()

    @field_validator("example", "labels")
    @classmethod
    def _path_is_written(cls, path: str | None, info: ValidationInfo) -> str | None:
        if path is not None and (not path.strip() or not path.isprintable()):
            suffix = "json" if info.field_name == "example" else "txt"
            raise problem("it is not a path", f"Write one like ./{info.field_name}.{suffix}.")
        return path

    @model_validator(mode="after")
    def _batching_is_on_where_it_is_set(self) -> ServiceSpec:
        idle = {"max_queue_delay", "preferred_batch_sizes"} & self.batching.model_fields_set
        if self.batching.max_batch_size == 0 and idle:
            keys = " and ".join(sorted(idle))
            raise problem(
                f"batching.{keys} means nothing with max_batch_size: 0",
                "Remove it, or raise max_batch_size.",
            )
        return self

    @model_validator(mode="after")
    def _ranges_follow_something(self) -> ServiceSpec:
        own = self.replicas
        if not own.fixed or (self.autoscale is not None and not self._targets_scale()):
            scaling.require_range(own, self.autoscale, "")
        for name, target in self.targets.items():
            replicas, autoscale = target.replicas or own, target.autoscale or self.autoscale
            if target.autoscale is not None or (target.replicas and not replicas.fixed):
                scaling.require_range(replicas, autoscale, f"targets.{name}.")
        return self

    def _targets_scale(self) -> bool:
        """Return whether a target takes its number of replicas from a range."""
        return any(each.replicas and not each.replicas.fixed for each in self.targets.values())

    def with_name(self, name: str, *, derived: bool) -> ServiceSpec:
        """Return this spec with a name; `derived` says that it is the model's own."""
        named = self.model_copy(update={"name": name})
        named._derived = derived
        return named

    def with_example(self, path: Path) -> ServiceSpec:
        """Return this spec with the example in a file."""
        return self.model_copy(update={"example": str(path)})

    @property
    def name_is_derived(self) -> bool:
        """Return whether the name comes from the model's reference: nobody wrote it."""
        return self._derived or self.name is None

    @property
    def service_name(self) -> str:
        """Return the name, else one from the model reference, else `model`."""
        return self.name or names.from_reference(self.model) or "model"

    def written(self) -> dict[str, Any]:
        """Return the content of the file: quantities with units, no defaults."""
        written = self.model_dump(
            mode="json", by_alias=True, exclude_none=True, exclude_defaults=True
        )
        return {key: value for key, value in written.items() if value != {}}

    def served(self) -> Served:
        """Return the settings that make a revision, without defaults.

        Without model, example and labels: the revision has their digests.
        """
        return Served(
            batching=_as_artifact(artifacts.Batching, self.batching),
            instances=self.instances,
            resources=self._resources(),
            server=_as_artifact(artifacts.ServerOptions, self.server),
            model=artifacts.ModelOptions(
                class_name=self.class_name,
                arguments=self.arguments,
                signature=self.signature,
                requirements=self.requirements,
                python=self.python,
                method=self.method,
                trust=self.trust or None,
                conversion=self.conversion if "conversion" in self.model_fields_set else None,
                tolerance=self.tolerance,
                inputs=tuple(each.declared(name) for name, each in self.inputs.items()) or None,
            ),
            runtime=Runtime(self.runtime) if self.runtime else None,
            sandbox=self.sandbox.artifact(),
        )

    def operated(self) -> Operated:
        """Return the settings that change in place, without defaults.

        A setting that is not written stays, so that a deploy does not undo `cloche scale`.
        """
        timeout, waits = self.start_timeout, self.rollout.schedule_timeout
        return Operated(
            replicas=self.replicas if "replicas" in self.model_fields_set else None,
            start_timeout=None if timeout is None else timeout / 1e6,
            keep=self.rollout.keep if "keep" in self.rollout.model_fields_set else None,
            require_verification=self.require_verification
            if "require_verification" in self.model_fields_set
            else None,
            warm=self.rollout.warm / 1e6 if self.rollout.warm is not None else None,
            capacity=Capacity(self.rollout.capacity) if self.rollout.capacity else None,
            schedule_timeout=None if waits is None else waits / 1e6,
            timeout=None if self.timeout is None else self.timeout / 1e6,
            probe=self.health.probe if "probe" in self.health.model_fields_set else None,
            autoscale=None if self.autoscale is None else self.autoscale.artifact(),
        )

    def place(self, target: str, path: Path | None = None) -> KubernetesPlace:
        """Return the place of one of its targets; raises UsageError `usage.target`.

        `path` is the file that the spec is from.
        """
        found = self.targets.get(target)
        if found is None:
            raise UsageError(
                "usage.target",
                f"There is no target {target!r}.",
                where=str(path or "cloche.yaml"),
                hint=f"The targets there are: {', '.join(self.targets) or 'none'}.",
            )
        return found.place(target)

    def at(self, target: str) -> ServiceSpec:
        """Return the spec as it is at one of its targets.

        Raises UsageError `spec.cluster_sandbox` for a sandbox that no cluster gives.
        """
        there = self.targets[target]
        self._refuse_sandbox()
        own: dict[str, Any] = {"replicas": there.replicas, "autoscale": there.autoscale}
        if there.resources.gpu is not None:
            own["resources"] = self.resources.model_copy(update={"gpu": there.resources.gpu})
        return self.model_copy(update={key: value for key, value in own.items() if value})

    def _refuse_sandbox(self) -> None:
        """Raise UsageError for what a sandbox opens or closes: a pod has its image's files alone.

        Its network is the cluster's to close.
        """
        asked = self.sandbox.artifact()
        written = [key for key in ("network", "read", "write") if getattr(asked, key) is not None]
        if written:
            keys = " and ".join(f"`sandbox.{key}`" for key in written)
            raise UsageError(
                "spec.cluster_sandbox",
                f"{keys} is for this machine: in a cluster a model has the files of its image, and"
                " its network is the cluster's to close.",
                where="sandbox",
                hint="Leave it out. In a cluster, deny what a pod may reach by a NetworkPolicy.",
            )

    def _resources(self) -> artifacts.Resources:
        """Return what a replica gets; no GPU and a number of none are the same."""
        asked = _as_artifact(artifacts.Resources, self.resources)
        return replace(asked, gpu=None) if asked.gpu is not None and not asked.gpu.count else asked


def _as_artifact(kind: type[T], section: Section) -> T:
    """Return a section of the file as the artefact with the same fields."""
    return kind(**{name: getattr(section, name) for name in type(section).model_fields})
