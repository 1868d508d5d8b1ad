"""The scripts that run in a model's environment, for tests without its framework."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cloche

_SOURCE = Path(cloche.__file__).parent
_FOLDERS = (_SOURCE / "conversion" / "scripts", _SOURCE / "verification" / "reference" / "scripts")


@pytest.fixture(scope="module")
def imported() -> Iterator[Callable[[str], Any]]:
    """Import a script by its name, as a model's interpreter does."""
    with pytest.MonkeyPatch.context() as patched:
        for folder in _FOLDERS:
            patched.syspath_prepend(folder)
        yield importlib.import_module
