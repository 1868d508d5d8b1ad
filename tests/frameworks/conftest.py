"""What the tests of frameworks ask of a model that was prepared for a deploy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloche import pipeline, spec
from cloche.artifacts import Deployment, TensorSpec
from cloche.errors import ClocheError
from cloche.progress import SilentProgress
from fixtures.cache import cache_folder
from fixtures.local import LocalHome, a_local_home
from fixtures.saved_models import give_locks

Prepare = Callable[..., Deployment]
"""What the fixture `prepare` gives: the deployment of the content of a cloche.yaml."""


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
    for kind in ("prepared", "conversion", "verdict"):
        shutil.rmtree(home.settings.layout.store / "index" / kind)
    again = prepare(content).main.conversion
    assert first is not None
    assert again is not None
    assert first.digest == again.digest


@pytest.fixture(scope="module")
def local_home() -> Iterator[LocalHome]:
    """A home for the tests of a file: a model that one of them ran is known to the next."""
    with a_local_home() as home:
        layout = home.settings.layout
        layout.environments.symlink_to(cache_folder() / "environments")
        give_locks(layout.root)
        yield home


@pytest.fixture
def prepare(local_home: LocalHome) -> Prepare:
    """Prepare the deployment of the content of a cloche.yaml, with an example in a file."""

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
