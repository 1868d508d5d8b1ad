"""Files of PyTorch that were saved on a GPU, for a machine without one.

`map_location` moves the tensors of pickles and scripts. An exported program has no such way, and
names its devices in JSON as well; a traced script has them as constants in its graph. Syntax for
Python 3.8.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_GPUS = frozenset({"cuda", "xpu", "mps", "hip"})


@contextmanager
def on_cpu(path: str) -> Iterator[str]:
    """Yield the path of an exported program that is on the CPU: the file itself, or a copy."""
    with zipfile.ZipFile(path) as archive:
        texts = [name for name in archive.namelist() if name.endswith(".json")]
        moved = {name: _moved(archive.read(name)) for name in texts}
        changed = {name: text for name, text in moved.items() if text is not None}
        if not changed:
            yield path
            return
        for name in archive.namelist():
            if name.endswith(".pt"):
                changed[name] = _saved_on_cpu(archive.read(name))
        with tempfile.TemporaryDirectory(prefix="on-cpu-") as folder:
            copy = Path(folder) / Path(path).name
            with zipfile.ZipFile(copy, "w") as written:
                for entry in archive.infolist():
                    data = changed.get(entry.filename)
                    written.writestr(entry, archive.read(entry) if data is None else data)
            yield str(copy)


def _moved(text: bytes) -> bytes | None:
    """Return a JSON document with its devices on the CPU; None if it names no other."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return json.dumps(document).encode() if _move(document) else None


def _saved_on_cpu(data: bytes) -> bytes:
    """Return tensors that were saved in the archive, such as its example, on the CPU."""
    written = io.BytesIO()
    torch.save(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True), written)
    return written.getvalue()


def _move(value: Any) -> bool:
    """Change the devices in a document (`{"type": "cuda", "index": 0}`); return whether it did."""
    if isinstance(value, list):
        return _move_all(value)
    if not isinstance(value, dict):
        return False
    if value.keys() == {"type", "index"} and value["type"] in _GPUS:
        value.update(type="cpu", index=None)
        return True
    return _move_all(value.values())


def _move_all(values: Iterable[Any]) -> bool:
    found = False
    for each in values:
        found = _move(each) or found
    return found


def move_constants(module: Any) -> bool:
    """Put the devices that a script has as constants on the CPU; return whether there were any."""
    traced = torch.jit.trace(lambda: torch.ones(1).to(torch.device("cpu")), ())
    cpu = next(node for node in _constants(traced.graph) if _device(node) == "cpu")
    found = False
    for inner in module.modules():
        for graph in _graphs(inner):
            for node in _constants(graph):
                if _device(node).partition(":")[0] in _GPUS:
                    node.copyAttributes(cpu)
                    found = True
    return found


def _graphs(module: Any) -> list[Any]:
    """Return the graphs of the methods of one module of a script."""
    return [module._c._get_method(name).graph for name in module._c._method_names()]


def _constants(graph: Any) -> Any:
    return graph.findAllNodes("prim::Constant")


def _device(node: Any) -> str:
    """Return the device in a constant; empty for any other."""
    if "value" not in node.attributeNames() or str(node.output().type()) != "Device":
        return ""
    return str(node.s("value"))
