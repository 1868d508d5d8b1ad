"""Files of a finished repository that its configuration names outside of it.

A repository is read from its own folder alone, here, in an image and in a cluster: such a path
leads elsewhere on each machine, to a file that nobody gave to it. Links are refused where files are
listed (`formats.folders`).
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from cloche.artifacts import ENVIRONMENT_PARAMETER
from cloche.errors import UsageError
from cloche.model_config.names import MODEL_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.model_config.finished import FinishedModel


def errors_of(model: FinishedModel) -> Iterator[UsageError]:
    """Yield an error for each path that leads out of the folder of a model."""
    for field, path in _named(model):
        if _leads_out(path):
            yield UsageError(
                "repository.outside",
                f"{field} of {model.name} leads out of its folder, to {path}.",
                where=model.where,
                hint="Put the file into the model's folder, and name it from there.",
            )
    value = model.environment
    if value and not value.startswith(MODEL_DIRECTORY):
        yield UsageError(
            "repository.outside",
            f"{ENVIRONMENT_PARAMETER} of {model.name} leads out of its folder, to {value}.",
            where=model.where,
            hint=f"Put the environment into the model's folder and write a path that begins with"
            f" {MODEL_DIRECTORY}, or put a requirements.txt there in its place.",
        )


def _named(model: FinishedModel) -> Iterator[tuple[str, str]]:
    """Yield each field that names a file, with the name; the model's own file has to be there."""
    config = model.config
    yield from _libraries(config)
    for name in config.cc_model_filenames.values():
        yield "cc_model_filenames", name
    for output in config.output:
        yield "label_filename", output.label_filename
    for warmup in config.model_warmup:
        for given in warmup.inputs.values():
            yield "input_data_file", given.input_data_file
    for state in config.sequence_batching.state:
        for initial in state.initial_state:
            yield "data_file", initial.data_file
    for key, parameter in sorted(config.parameters.items()):
        text = parameter.string_value
        if key != ENVIRONMENT_PARAMETER and text.startswith(MODEL_DIRECTORY):
            yield key, text.removeprefix(MODEL_DIRECTORY)


def _libraries(config: Any) -> Iterator[tuple[str, str]]:
    """Yield what is loaded as a library."""
    yield "runtime", config.runtime
    for name in config.model_operations.op_library_filename:
        yield "op_library_filename", name
    for agent in config.model_repository_agents.agents:
        yield "model_repository_agents", agent.name


def _leads_out(path: str) -> bool:
    return path.startswith("/") or ".." in PurePosixPath(path).parts
