"""MLflow models saved in an environment that Cloche locked and made, kept for all tests here."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloche import environments
from cloche.errors import UnavailableError
from cloche.progress import SilentProgress
from cloche.store import Store
from fixtures.cache import cache_folder

if TYPE_CHECKING:
    from cloche.artifacts import Lock

SCRIPT = Path(__file__).with_name("save_models.py")
REQUIREMENTS = (
    "mlflow==3.17.2", "scikit-learn==1.9.1", "pandas==3.1.1", "numpy==2.4.6", "skops==0.16.0",
)  # fmt: skip
PYTHON = f"3.{min(sys.version_info[1], 13)}"


@pytest.fixture(scope="session")
def saved() -> tuple[Lock, Path, Path]:
    """Return the lock, the environment, and the folder of the models of `save_models.py`."""
    return _saved(SCRIPT)


@pytest.fixture(scope="session")
def saved_tables() -> tuple[Lock, Path, Path]:
    """Return the same of `save_tables.py`."""
    return _saved(SCRIPT.with_name("save_tables.py"))


def _saved(script: Path) -> tuple[Lock, Path, Path]:
    """Lock and make an environment, and save the models of a script with it."""
    cache = cache_folder()
    store = Store(cache / "store", 2**30)
    progress = SilentProgress()
    try:
        lock = environments.lock(
            REQUIREMENTS, PYTHON, store=store, progress=progress, environment=os.environ
        )
        environment = environments.materialize(lock, cache / "environments", progress)
    except UnavailableError as error:
        pytest.skip(f"needs a package index for MLflow: {error.what}")
    key = hashlib.sha256(script.read_bytes() + lock.digest.encode()).hexdigest()[:16]
    folder = cache / "models" / key
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = folder.with_name(f"{key}-{os.getpid()}")
        making.mkdir()
        program = [environment / "bin" / "python", script, making]
        # MLflow writes a database where it stands.
        subprocess.run(program, check=True, capture_output=True, timeout=300, cwd=making)
        try:
            making.rename(folder)
        except OSError:  # another worker was faster
            shutil.rmtree(making)
    return lock, environment, folder
