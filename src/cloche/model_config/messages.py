"""Triton's ModelConfig as protobuf, and its text form (config.pbtxt).

The messages are those that NVIDIA generates into tritonclient (`grpc/model_config_pb2.py`). The
module is loaded by itself: importing its package would import gRPC, which Cloche does not use.
Loading it again later with the package is harmless, since both register the same descriptor.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloche.errors import ClocheError, UsageError

if TYPE_CHECKING:
    from google.protobuf.message import Message


@functools.cache
def messages() -> Any:
    """Return the generated module with ModelConfig and its messages."""
    package = importlib.util.find_spec("tritonclient")
    for folder in (package.submodule_search_locations or []) if package else []:
        path = Path(folder) / "grpc" / "model_config_pb2.py"
        spec = importlib.util.spec_from_file_location("cloche._model_config_pb2", path)
        if spec is None or spec.loader is None or not path.is_file():
            continue
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    raise ClocheError(
        "repository.tritonclient",
        "tritonclient's gRPC messages are not installed.",
        hint="Install Cloche again with its dependencies: pip install --force-reinstall cloche.",
    )


def to_text(config: Message) -> bytes:
    """Return the bytes of a config.pbtxt: fields in order of their numbers, maps sorted."""
    from google.protobuf import text_format

    text = text_format.MessageToString(
        config, as_utf8=True, use_index_order=False, use_short_repeated_primitives=True
    )
    return text.encode()


def parse(text: bytes, where: str) -> Any:
    """Return the ModelConfig of a config.pbtxt.

    Raises UsageError `repository.config` with the unreadable line (`where:line`).
    """
    from google.protobuf import text_format

    try:
        return text_format.Parse(text.decode("utf-8"), messages().ModelConfig())
    except UnicodeDecodeError as error:
        line: int | None = text.count(b"\n", 0, error.start) + 1
        what = "it is not UTF-8 text"
    except text_format.ParseError as error:
        line = error.GetLine()
        what = str(error).partition(" : ")[2] or str(error)
    raise UsageError(
        "repository.config",
        f"config.pbtxt cannot be read: {what.rstrip('.')}.",
        where=f"{where}:{line}" if line else where,
        hint="Correct the line; the fields are those of Triton's model_config.proto.",
    )
