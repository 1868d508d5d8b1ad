"""A session of ONNX Runtime made from a model configuration, with the native backend's parameters.

Source of names, defaults and messages: the README and src/onnxruntime.cc of
https://github.com/triton-inference-server/onnxruntime_backend. Syntax for Python 3.8.
"""

from __future__ import annotations

import os
import re
from typing import Any

SHRINKAGE = "memory.enable_memory_arena_shrinkage"
SPINNING = "session.intra_op.allow_spinning"
_ORT_ERROR = re.compile(r"\[ONNXRuntimeError\] : (\d+) : \w+ : (.*)", re.DOTALL)


class ModelError(Exception):
    """The model cannot be loaded with this configuration; the text is the complete message."""


def explain(error: BaseException) -> str:
    """Return an error of ONNX Runtime in the native backend's words."""
    text = str(error)
    match = _ORT_ERROR.search(text)
    return f"onnx runtime error {match[1]}: {match[2]}" if match else text


def model_path(version_folder: str, filename: str, model: str) -> str:
    """Return the ONNX file of a model version: the named one, or `model.onnx` in that folder."""
    path = os.path.join(version_folder, filename or "model.onnx")  # noqa: PTH118
    if os.path.isdir(path):  # noqa: PTH112
        path = os.path.join(path, "model.onnx")  # noqa: PTH118
    if not os.path.exists(path):  # noqa: PTH110
        raise ModelError(f"unable to find '{path}' for model instance '{model}'")
    return path


def load(path: str, config: dict[str, Any]) -> Any:
    """Load a session on the CPU with the configured options; raises ModelError."""
    import onnxruntime

    _refuse_accelerators(config)
    options = session_options(config)
    for library in config.get("model_operations", {}).get("op_library_filename", []):
        options.register_custom_ops_library(library)
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    # ONNX Runtime's errors have no common base.
    except Exception as error:  # noqa: BLE001
        raise ModelError(explain(error)) from None


def session_options(config: dict[str, Any]) -> Any:
    """Return the options of a session; raises ModelError for an invalid value."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    level = int(config.get("optimization", {}).get("graph", {}).get("level", 0))
    options.graph_optimization_level = {
        -1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
        1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
        2: onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    }.get(level, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
    mode = _integer(config, "execution_mode")
    if mode not in {0, 1}:
        raise ModelError(
            "Invalid configuration value provided. Expected values for  execution_mode are 0 or 1"
            f" but got {mode} ."
        )
    if mode == 1:
        options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    options.intra_op_num_threads = _integer(config, "intra_op_thread_count") or _threads(config)
    if _integer(config, "inter_op_thread_count") > 0:
        options.inter_op_num_threads = _integer(config, "inter_op_thread_count")
    for name, attribute in (
        ("enable_mem_arena", "enable_cpu_mem_arena"),
        ("enable_mem_pattern", "enable_mem_pattern"),
    ):
        value = parameter(config, name)
        if value is not None:
            setattr(options, attribute, _boolean(value))
    # Spinning threads would take the cores from the server that feeds them.
    options.add_session_config_entry(SPINNING, "0")
    for name, value in config.get("parameters", {}).items():
        if name.startswith("session."):
            options.add_session_config_entry(name, value["string_value"])
    return options


def run_options(config: dict[str, Any]) -> Any:
    """Return the options of each run, None if the configuration sets none."""
    import onnxruntime

    shrinkage = parameter(config, SHRINKAGE)
    if shrinkage is None:
        return None
    options = onnxruntime.RunOptions()
    options.add_run_config_entry(SHRINKAGE, shrinkage)
    return options


def parameter(config: dict[str, Any], name: str) -> str | None:
    """Return the text of a parameter of the model configuration."""
    entry = config.get("parameters", {}).get(name)
    return None if entry is None else entry["string_value"]


def _threads(config: dict[str, Any]) -> int:
    """Return each instance's share of the cores that this process may use.

    A control group may allow less than all of them: a container's entrypoint looks at it.
    """
    instances = sum(int(group.get("count", 1)) for group in config.get("instance_group", []))
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    cores = int(allowed) if allowed.isdecimal() else len(os.sched_getaffinity(0))
    return max(1, cores // max(1, instances))


def _refuse_accelerators(config: dict[str, Any]) -> None:
    accelerators = config.get("optimization", {}).get("execution_accelerators", {})
    for entry in accelerators.get("cpu_execution_accelerator", []):
        raise ModelError(f"unknown Execution Accelerator '{entry['name']}' is requested")


def _integer(config: dict[str, Any], name: str) -> int:
    value = parameter(config, name)
    try:
        return 0 if value is None else int(value)
    except ValueError:
        raise ModelError(f"failed to convert '{value}' to integral number") from None


def _boolean(value: str) -> bool:
    lowered = value.lower()
    if lowered in {"true", "1"}:
        return True
    if lowered in {"false", "0"}:
        return False
    raise ModelError(f"failed to convert '{value}' to boolean")
