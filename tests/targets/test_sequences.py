"""What is said of sequences before the number of replicas changes."""

from __future__ import annotations

import pytest

from cloche.artifacts import RepositoryMember
from cloche.targets.local.sequences import foreseen


@pytest.mark.parametrize(
    ("idle", "wanted", "now", "codes"),
    [
        (None, 3, 1, []),
        (5.0, 1, 0, []),
        (5.0, 1, 1, []),
        (5.0, 2, 0, ["sequences.header"]),
        (5.0, 3, 1, ["sequences.header"]),
        (5.0, 2, 3, ["sequences.header", "sequences.lost"]),
        (5.0, 1, 2, ["sequences.lost"]),
    ],
)
def test_what_a_number_of_replicas_means(
    idle: float | None, wanted: int, now: int, codes: list[str]
) -> None:
    model = RepositoryMember("counter", "python", (), (), 4, sequence_idle=idle)
    assert [finding.code for finding in foreseen("s", model, wanted, now)] == codes
