"""Models saved by their own frameworks, each in one environment that Cloche locks and makes.

The environments, and the models saved in them, stay in the cache of the tests.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloche import composition, environments, pipeline, spec
from cloche.artifacts import Deployment, TensorSpec
from cloche.errors import ClocheError, UnavailableError
from cloche.home import HomeLayout
from cloche.progress import SilentProgress
from cloche.store import Store
from fixtures.cache import cache_folder
from fixtures.local import LocalHome

Prepare = Callable[..., Deployment]
"""What the fixture `prepare` gives: the deployment of the content of a cloche.yaml."""
PYTHON = f"3.{min(sys.version_info[1], 13)}"
_OF_PYTORCH = (
    "torch==2.15.0", "torchvision==0.29.2", "mlflow==3.17.2", "transformers==5.24.0",
    "sentence-transformers==6.2.0", "timm==1.0.31",
)  # fmt: skip
REQUIREMENTS = {
    "sklearn": (
        "scikit-learn==1.9.1", "xgboost==3.2.0", "lightgbm==4.7.0", "pandas==3.1.1",
        "skops==0.16.0", "mlflow==3.17.2",
    ),
    "pytorch": _OF_PYTORCH,
    "transformers": _OF_PYTORCH,
    "tensorflow": ("tensorflow-cpu==2.21.0", "keras==3.15.1", "mlflow==3.17.2"),
    "jax": ("jax==0.10.2",),
}  # fmt: skip
"""What the models of a framework are saved with, and need: PyTorch is in one environment."""


@dataclass(frozen=True)
class Saved:
    """The models that a framework saved, and the lines of a cloche.yaml for their environment."""

    folder: Path
    requirements: tuple[str, ...]

    def spec(self, model: str, **more: object) -> dict[str, object]:
        """Return the content of a cloche.yaml for a model."""
        common = {"requirements": list(self.requirements), "python": PYTHON}
        return {"model": str(self.folder / model), **common, **more}


def described(specs: tuple[TensorSpec, ...]) -> str:
    """Return tensors as one line, with `?` for an open axis."""
    return "; ".join(
        f"{spec.name} {spec.datatype} {','.join('?' if n < 0 else str(n) for n in spec.shape)}"
        for spec in specs
    )


def notes(deployment: Deployment) -> dict[str, str]:
    """Return what the findings of a deployment's model say, by their codes."""
    return {finding.code: finding.what for finding in deployment.main.facts.findings}


def require_refused(prepare: Prepare, content: dict[str, object], code: str, words: str) -> None:
    """Check that a model is refused with a code, words and a hint, and no path of this machine."""
    with pytest.raises(ClocheError) as refused:
        prepare(content)
    assert refused.value.code == code
    assert words in refused.value.what
    assert refused.value.hint
    assert str(Path.home()) not in refused.value.what


def require_converted_again(prepare: Prepare, content: dict[str, object], home: LocalHome) -> None:
    """Check that a conversion, once it is forgotten, is made again to the same bytes."""
    first = prepare(content).main.conversion
    for kind in ("prepared", "conversion"):
        shutil.rmtree(home.settings.layout.store / "index" / kind)
    again = prepare(content).main.conversion
    assert first is not None
    assert again is not None
    assert first.digest == again.digest


@pytest.fixture(scope="session")
def pytorch() -> Saved:
    """The models of `save_pytorch.py`."""
    return saved("pytorch")


@pytest.fixture(scope="session")
def sklearn() -> Saved:
    """The models of `save_sklearn.py`."""
    return saved("sklearn")


@pytest.fixture(scope="session")
def transformers() -> Saved:
    """The models of `save_transformers.py`."""
    return saved("transformers")


@pytest.fixture(scope="session")
def tensorflow() -> Saved:
    """The models of `save_tensorflow.py`."""
    return saved("tensorflow")


@pytest.fixture(scope="session")
def jax() -> Saved:
    """The models of `save_jax.py`."""
    return saved("jax")


def saved(framework: str) -> Saved:
    """Return the models of a framework, which are saved where the cache has none."""
    cache, lines = cache_folder(), REQUIREMENTS[framework]
    own = composition.converters()[framework].requirements
    progress = SilentProgress()
    try:
        lock = environments.lock(
            lines + own,
            PYTHON,
            store=Store(cache / "store", 2**30),
            progress=progress,
            environment=os.environ,
        )
        environment = environments.materialize(lock, cache / "environments", progress)
    except UnavailableError as error:
        pytest.skip(f"needs a package index for {framework}: {error.what}")
    script = Path(__file__).with_name(f"save_{framework}.py")
    key = hashlib.sha256(script.read_bytes() + lock.digest.encode()).hexdigest()[:16]
    folder = cache / "models" / key
    if not folder.is_dir():
        _save(environment / "bin" / "python", script, lines, folder)
    return Saved(folder, lines)


def _save(python: Path, script: Path, lines: tuple[str, ...], folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = folder.with_name(f"{folder.name}-{os.getpid()}")
    making.mkdir()
    program = [python, "-W", "ignore", script, making, *lines]
    subprocess.run(program, check=True, capture_output=True, timeout=600, cwd=making)
    try:
        making.rename(folder)
    except OSError:  # another worker was faster
        shutil.rmtree(making)


def give_locks(home: Path) -> None:
    """Let a home have the locks of the cache, whatever the index says today."""
    index = HomeLayout(home).store / "index"
    index.mkdir(parents=True, exist_ok=True)
    (index / "lock").symlink_to(cache_folder() / "store" / "index" / "lock")


@pytest.fixture
def prepare(local_home: LocalHome) -> Prepare:
    """Prepare the deployment of the content of a cloche.yaml, with an example in a file."""
    layout, cache = local_home.settings.layout, cache_folder()
    layout.environments.symlink_to(cache / "environments")
    give_locks(layout.root)

    def prepared(content: dict[str, object], example: Path | None = None) -> Deployment:
        written = spec.parse(json.dumps(content), directory=Path.cwd())
        if example is not None:
            written = written.with_example(example)
        return pipeline.prepare(
            written,
            directory=Path.cwd(),
            settings=local_home.settings,
            progress=SilentProgress(),
        )

    return prepared
