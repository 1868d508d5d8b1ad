from dataclasses import replace
from pathlib import Path

import pytest

from cloche import composition
from cloche.artifacts import ModelRepository, ReplicaRange, RepositoryMember
from cloche.errors import ClocheError
from cloche.settings import Settings
from cloche.store import Store
from cloche.targets import Placement
from cloche.targets.local.software import ReplicaServer

REPOSITORY = ModelRepository(
    "digits", "sha256:" + "0" * 64, (), (RepositoryMember("digits", "python", (), (), 0),)
)


def test_an_environment_that_is_not_there_says_what_makes_it(tmp_path: Path) -> None:
    software = ReplicaServer(
        composition.server(), Settings(home=tmp_path), Store(tmp_path / "store", 2**30)
    )
    member = replace(REPOSITORY.main, lock_digest="sha256:" + "a" * 64)
    repository = replace(REPOSITORY, members=(member,))
    placement = Placement("digits", 1, repository, ReplicaRange.exactly(1), 60)
    with pytest.raises(ClocheError) as caught:
        software.lay_out(placement, tmp_path / "serving")
    assert caught.value.code == "target.local.environment"
    assert caught.value.where == str(tmp_path / "environments" / ("a" * 64))
    assert "Deploy the model again" in (caught.value.hint or "")
    assert not (tmp_path / "serving").exists()
