"""picklescan as a second opinion: it knows dangerous names, and none of them is a pass here."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from evil import CALLS, scanned
from picklescan.scanner import SafetyLevel, _unsafe_globals, scan_file_path

from cloche.pickles import scan
from cloche.pickles.allowed import allowed_names, is_allowed

SAMPLES = Path(__file__).parent / "samples"


def suspected(path: Path) -> set[str]:
    """Return the names that are not innocuous for it, less those that it could not read."""
    return {
        f"{found.module}.{found.name}"
        for found in scan_file_path(str(path)).globals
        if found.safety is not SafetyLevel.Innocuous and found.module != "None"
    }


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*/evil*")), ids=lambda path: path.name)
def test_what_it_suspects_is_found(path: Path) -> None:
    assert suspected(path) - allowed_names() <= {str(name) for name in scan(path).outside}


@pytest.mark.parametrize("call", CALLS)
def test_what_it_suspects_in_calls_is_found(tmp_path: Path, call: str) -> None:
    found = scanned(tmp_path, pickle.dumps(CALLS[call][0]))
    assert suspected(tmp_path / "model.pkl") <= {str(name) for name in found.outside}


def test_nothing_that_it_knows_as_dangerous_is_allowed() -> None:
    for module, names in _unsafe_globals.items():
        if names == "*":
            inside = {name for name in allowed_names() if name.startswith(f"{module}.")}
            assert not inside, module
        else:
            assert not {name for name in names if is_allowed(module, name)}, module
