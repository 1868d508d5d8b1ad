"""What a service is once a deploy is done."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_change import recorded, revision

from cloche.artifacts import Deployment, Operated
from cloche.rollout.change import Recorded, decide_change
from cloche.rollout.ending import ending
from cloche.testing import deployment

LIVE, OTHER = deployment(), deployment(model="b")
WARM = Operated(warm=600.0)


@pytest.mark.parametrize(
    ("asked", "known", "placed", "serves"),
    [
        (LIVE, None, [4], 4),
        (LIVE, recorded(LIVE), [1], 1),
        (LIVE, replace(recorded(LIVE), warm=revision(OTHER, 3)), [1, 3], 1),
        (OTHER, recorded(LIVE), [4], 4),
        (OTHER, recorded(LIVE, WARM), [1, 4], 4),
        (OTHER, replace(recorded(LIVE, WARM), warm=revision(OTHER, 3)), [1, 4], 4),
        (OTHER, recorded(LIVE, WARM, rolling=OTHER), [1, 2], 2),
        (LIVE, recorded(LIVE, rolling=OTHER), [1], 1),
        (LIVE, recorded(LIVE, WARM, broken=True), [1, 4], 4),
    ],
)
def test_all_traffic_is_on_one_revision_and_the_former_is_kept(
    asked: Deployment, known: Recorded | None, placed: list[int], serves: int
) -> None:
    desired = ending(decide_change(asked, known), asked, known, 4)
    assert [each.revision for each in desired.placements] == placed
    assert desired.split == {serves: 100}
    by_number = {each.revision: each.repository for each in desired.placements}
    assert by_number[serves] == asked.repository
