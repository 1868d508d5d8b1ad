"""The tables of implementations, and that choosing one loads no other."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cloche import composition
from cloche.artifacts import ModelFormat

HEAVY = ("numpy", "onnx", "google.protobuf", "httpx", "fastapi", "tritonclient", "ruamel")


@pytest.mark.parametrize(
    "program",
    [
        "from cloche import composition",
        "from cloche import composition; composition.backends(); composition.formats()",
        "from cloche import composition; composition.references()",
        "from cloche import composition; composition.server()",
    ],
)
def test_choosing_loads_nothing_heavy(program: str) -> None:
    check = f"; import sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program + check], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_format_is_in_the_table_under_its_name() -> None:
    formats = composition.formats()
    assert set(formats) == set(ModelFormat)
    assert all(form.name is name for name, form in formats.items())


def test_every_backend_is_in_the_table_under_its_name_with_its_reference() -> None:
    backends = composition.backends()
    assert all(backend.name == name for name, backend in backends.items())
    assert all(backend.formats for backend in backends.values())
    frameworks = composition.converters().keys()
    assert composition.references().keys() == backends.keys() | frameworks
