"""The settings of a service in their written form, for plans: dotted keys and plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.artifacts import DeclaredInput, Gpu, asked_for, convert
from cloche.spec import inputs
from cloche.spec.gpus import format_gpu
from cloche.spec.quantities import (
    format_duration,
    format_processors,
    format_replicas,
    format_size,
)
from cloche.spec.scaling import format_percent, plain

if TYPE_CHECKING:
    from cloche.artifacts import Autoscale, Operated, Served


def _gpu(value: Any) -> Any:
    return format_gpu(convert(Gpu, value))


def _inputs(value: Any) -> list[str]:
    return [inputs.text(each) for each in convert(list[DeclaredInput], value)]


_FORMATS = {
    "batching.max_queue_delay": format_duration,
    "batching.queue_timeout": format_duration,
    "resources.cpu": format_processors,
    "resources.memory": format_size,
    "resources.gpu": _gpu,
    "model.inputs": _inputs,
}


def served(value: Served) -> dict[str, Any]:
    """Return the settings that make a revision, such as `{"batching.max_queue_delay": "1ms"}`."""
    return {
        _key(key): _FORMATS[key](item) if key in _FORMATS else item
        for key, item in _leaves(asked_for(value)).items()
    }


def _key(key: str) -> str:
    """Return a setting as the file has it: what is about the model stands at its top."""
    inner = key.removeprefix("model.")
    return "class" if inner == "class_name" else inner


def operated(value: Operated) -> dict[str, Any]:
    """Return the settings that change in place: replicas, and others that are set."""
    durations = {
        "start_timeout": value.start_timeout,
        "rollout.warm": value.warm,
        "rollout.schedule_timeout": value.schedule_timeout,
        "timeout": value.timeout,
    }
    others = {
        "rollout.keep": value.keep,
        "require_verification": value.require_verification,
        "rollout.capacity": value.capacity and value.capacity.value,
        "health.probe": value.probe,
    }
    written: dict[str, Any] = {"replicas": format_replicas(value.replica_range)}
    for key, seconds in durations.items():
        if seconds is not None:
            written[key] = format_duration(round(seconds * 1e6))
    written |= {key: item for key, item in others.items() if item is not None}
    if (follows := value.autoscaled) is not None:
        written |= {f"autoscale.{key}": item for key, item in _followed(follows).items()}
    if value.exposure is not None:
        written |= {key: item for key, item in asked_for(value.exposure).items() if item}
        if value.exposure.scrape_interval is not None:
            seconds = value.exposure.scrape_interval
            written["scrape_interval"] = format_duration(round(seconds * 1e6))
    return written


def _followed(value: Autoscale) -> dict[str, Any]:
    """Return what the number of replicas follows, as the file has it."""
    written = {
        "requests_per_second": value.requests_per_second and plain(value.requests_per_second),
        "queue_time": value.queue_time and format_duration(round(value.queue_time * 1e6)),
        "gpu_utilization": value.gpu_utilization and format_percent(value.gpu_utilization),
    }
    return {key: item for key, item in written.items() if item is not None}


def _leaves(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings to dotted names; lists, and what has its own form, are values."""
    leaves: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict) and prefix + key not in _FORMATS:
            leaves |= _leaves(item, f"{prefix}{key}.")
        else:
            leaves[prefix + key] = item
    return leaves
