from __future__ import annotations

from typing import Any

import pytest

from cloche.clients.kserve import sequences


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (None, None),
        ({}, None),
        ({"power": 3}, None),
        ({"sequence_id": 7, "sequence_start": True}, "7"),
        ({"sequence_id": 0}, "0"),
        ({"sequence_id": "room 5/é"}, "room%205%2F%C3%A9"),
    ],
)
def test_a_request_of_a_sequence_says_which(
    parameters: dict[str, Any] | None, expected: str | None
) -> None:
    wanted = {} if expected is None else {"cloche-sequence": expected}
    assert sequences.headers(parameters) == wanted
