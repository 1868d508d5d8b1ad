"""The sections of cloche.yaml: batching, resources, server, rollout, health, sandbox."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from cloche import artifacts
from cloche.artifacts import ENVIRONMENT_PARAMETER
from cloche.artifacts.service import DEFAULT_KEEP, MOST_KEPT
from cloche.spec.gpus import Gpus
from cloche.spec.quantities import Duration, Memory, Processors, problem

RELEASE = re.compile(r"\d\d\.(0[1-9]|1[0-2])")
Count = Annotated[int, Strict(), Field(ge=1, le=65_536)]


class Section(BaseModel):
    """A frozen part of the file; unknown keys are refused.

    The texts below its keys are for people and editors: `schema` reads them, which takes longer
    than all else of a class, so that no command does it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


def _scalar(value: Any) -> str:
    """Return a parameter's value as text for the server."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise problem("a parameter is text or a number", 'Write 1 and 0 for "on" and "off".')
    text = str(value)
    if len(text) > 4096 or not text.isprintable():
        raise problem("a parameter is one line of text", "Shorten it to one printable line.")
    return text


ParameterName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
ParameterValue = Annotated[
    str,
    BeforeValidator(_scalar),
    WithJsonSchema({"type": ["string", "number"]}),
]


class Batching(Section):
    """How requests are joined into batches, and how many may wait; durations in microseconds."""

    max_batch_size: Annotated[int, Strict(), Field(ge=0, le=65_536)] | None = None
    """The largest batch, and the most items of one request; 0 turns batching off."""
    max_queue_delay: Duration | None = None
    """How long a request may wait for others to join it."""
    preferred_batch_sizes: Annotated[tuple[Count, ...], Field(max_length=64)] | None = None
    """Sizes at which a batch is sent at once, for engines tuned for certain sizes."""
    max_queue_size: Count | None = None
    """How many requests may wait; one more is refused."""
    queue_timeout: Duration | None = None
    """How long a request may wait before it is refused."""

    @field_validator("preferred_batch_sizes")
    @classmethod
    def _sizes_fit(
        cls, sizes: tuple[int, ...] | None, info: ValidationInfo
    ) -> tuple[int, ...] | None:
        limit = info.data.get("max_batch_size")
        if sizes is None:
            return None
        if limit is not None and max(sizes, default=0) > limit:
            what = f"{max(sizes)} is more than max_batch_size, which is {limit}"
            raise problem(what, f"List sizes of at most {limit}, or raise max_batch_size.")
        return tuple(sorted(set(sizes))) or None

    @field_validator("queue_timeout")
    @classmethod
    def _timeout_is_positive(cls, timeout: int | None) -> int | None:
        if timeout == 0:
            raise problem("0 would refuse every request", "Write one like 10s.")
        return timeout


class Resources(Section):
    """What one replica gets; memory in bytes."""

    cpu: Processors | None = None
    """Processors, such as 2 or 500m."""
    memory: Memory | None = None
    """Memory, such as 4Gi."""
    gpu: Gpus | None = None
    """GPUs of each pod in a cluster, such as 1, or a MIG slice such as
    {resource: nvidia.com/mig-1g.10gb, count: 1}."""


class Server(Section):
    """Settings of the inference server that have no word of their own."""

    parameters: dict[ParameterName, ParameterValue] = Field(default_factory=dict)
    """The backend's own parameters, such as intra_op_thread_count."""
    warmup: bool | None = None
    """Whether a replica answers the golden request once before it is ready; default true."""
    graph_optimization: Literal["all", "extended", "basic", "none"] | None = None
    """How far ONNX Runtime may rewrite the graph: all, extended, basic or none."""
    release: str | None = None
    """The release of Triton in images and clusters, such as "26.05", where it is another than the
    default one: the base is NVIDIA's image of it. An older one lacks security fixes."""

    @field_validator("release", mode="before")
    @classmethod
    def _is_release(cls, value: Any) -> Any:
        if value is not None and not (isinstance(value, str) and RELEASE.fullmatch(value)):
            hint = 'Write one in quotes, such as "26.05".'
            raise problem("it is the year and month of a release of Triton", hint)
        return value

    @field_validator("warmup", mode="before")
    @classmethod
    def _is_boolean(cls, value: Any) -> Any:
        if value is not None and not isinstance(value, bool):
            raise problem("it is true or false", "Write true or false.")
        return value

    @field_validator("parameters")
    @classmethod
    def _own_parameters(cls, parameters: dict[str, str]) -> dict[str, str]:
        if ENVIRONMENT_PARAMETER in parameters:
            what = f"{ENVIRONMENT_PARAMETER} is set by Cloche, from the model's own requirements"
            raise problem(what, "Remove it.")
        return dict(sorted(parameters.items()))


class Rollout(Section):
    """How a new revision takes over, and how many can be brought back."""

    keep: Annotated[int, Strict(), Field(ge=1, le=MOST_KEPT)] = DEFAULT_KEEP
    """How many revisions can be brought back, whatever the cache's limit; default 10."""
    warm: Duration | None = None
    """How long the replicas of the former revision are kept for a rollback in a second; default 10m
    in a cluster, 0 on this machine."""
    capacity: Literal["surge", "recreate", "partial"] | None = None
    """Where a new revision finds room: surge (beside the live one; the default), recreate (the live
    one ends first, and nobody answers meanwhile) or partial (replicas take each other's place)."""
    schedule_timeout: Duration | None = None
    """How long replicas may wait for a machine that a cluster adds for them; default 15m."""


class Health(Section):
    """How replicas on this machine are watched."""

    probe: Annotated[bool, Strict()] = True
    """Whether a replica that answers nothing else is asked the golden request; default true."""


def _reachable(value: Any) -> Any:
    """Return a path that a sandbox opens, as it is written."""
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= 4096:
        raise problem("a path is one line of text", "Write one like /data/words or ~/words.")
    path = PurePosixPath(re.sub("^/+", "/", value))
    if not value.startswith(("/", "~/")) or ".." in path.parts:
        raise problem(f"{value} is not a whole path", "Write one like /data/words or ~/words.")
    if path == PurePosixPath("/"):
        raise problem("/ is everything there is", "Write files: false to open all files.")
    return str(path)


ReachablePath = Annotated[str, BeforeValidator(_reachable)]


class Sandbox(Section):
    """What the model's code reaches of this machine, beside what it needs to serve."""

    files: Annotated[bool, Strict()] = True
    """Whether your files, and those of other models, are closed to it; default true."""
    network: Annotated[bool, Strict()] = True
    """Whether it keeps the network; default true."""
    read: Annotated[tuple[ReachablePath, ...], Field(max_length=64)] = ()
    """Files and folders that it may read all the same, such as ~/.cache/huggingface/hub."""
    write: Annotated[tuple[ReachablePath, ...], Field(max_length=64)] = ()
    """Files and folders that it may also change, such as /var/log/answers."""

    @model_validator(mode="after")
    def _opens_what_is_closed(self) -> Sandbox:
        if not self.files and (self.read or self.write):
            raise problem("read and write mean nothing with files: false", "Remove one of them.")
        return self

    def artifact(self) -> artifacts.Sandbox:
        """Return what is asked for, without what is so anyway."""
        return artifacts.Sandbox(
            files=None if self.files else False,
            network=None if self.network else False,
            read=tuple(sorted(set(self.read))) or None,
            write=tuple(sorted(set(self.write))) or None,
        )
