from dataclasses import replace
from pathlib import Path

import pytest

from cloche.artifacts import ModelRepository
from cloche.errors import ClocheError
from cloche.settings import Settings
from cloche.store import Store
from cloche.targets.local.software import TritonSoftware

REPOSITORY = ModelRepository(
    "digits", "sha256:" + "0" * 64, (), ("digits",), "python", (), (), max_batch_size=0
)


def test_an_environment_that_is_not_there_says_what_makes_it(tmp_path: Path) -> None:
    software = TritonSoftware(Settings(home=tmp_path), Store(tmp_path / "store", 2**30))
    repository = replace(REPOSITORY, lock_digest="sha256:" + "a" * 64)
    with pytest.raises(ClocheError) as caught:
        software.lay_out(repository, tmp_path / "serving")
    assert caught.value.code == "target.local.environment"
    assert caught.value.where == str(tmp_path / "environments" / ("a" * 64))
    assert "Deploy the model again" in (caught.value.hint or "")
    assert not (tmp_path / "serving").exists()
