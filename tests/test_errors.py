"""Errors as values: copied with other words, and sent from one process to another."""

from __future__ import annotations

import json

import pytest

from cloche import refusals
from cloche.errors import (
    BusyError,
    ClocheError,
    ErrorGroup,
    NotFoundError,
    SupersededError,
    UnavailableError,
    UsageError,
    from_dict,
)

EVERY = [
    ClocheError("a.failed", "It failed.", where="here", hint="Do it again."),
    ClocheError("a.full", "It is full.", retriable=True),
    UsageError("a.wrong", "It is wrong."),
    NotFoundError("a.unknown", "It is not there."),
    UnavailableError("a.away", "It does not answer."),
    BusyError("a.busy", "It is held."),
    SupersededError("a.later", "A later one took over."),
    ErrorGroup("a.several", "Several.", [UsageError("b", "One."), NotFoundError("c", "Two.")]),
    refusals.unknown_service("digits"),
    refusals.unknown_revision("digits", 3),
    refusals.being_deleted("digits"),
]


@pytest.mark.parametrize("error", EVERY, ids=lambda error: error.code)
def test_an_error_keeps_its_class_on_its_way_to_another_process(error: ClocheError) -> None:
    back = from_dict(json.loads(json.dumps(error.to_dict())))
    assert type(back) is type(error)
    assert back.to_dict() == error.to_dict()
    assert back.exit_code == error.exit_code
    if isinstance(error, ErrorGroup):
        assert isinstance(back, ErrorGroup)
        assert [type(one) for one in back.errors] == [type(one) for one in error.errors]


@pytest.mark.parametrize("error", EVERY, ids=lambda error: error.code)
def test_a_copy_with_other_words_is_of_the_same_class(error: ClocheError) -> None:
    before = error.to_dict()
    made = error.with_(where="there", hint="Ask.")
    assert type(made) is type(error)
    assert made.to_dict() == before | {"where": "there", "hint": "Ask."}
    assert error.to_dict() == before
    assert str(made).splitlines()[0] == error.what
    assert str(error.with_(what="Otherwise.")).splitlines()[0] == "Otherwise."


def test_a_group_as_text_has_all_that_its_members_say() -> None:
    members = [
        UsageError("infer.input.missing", "The input 'x' is missing.", hint="It takes FP32 [1]."),
        UsageError("infer.input.unknown", "The model has no input 'y'.", where="request.json"),
    ]
    group = ErrorGroup("infer.inputs", "The request does not fit the model.", members)
    assert str(group) == (
        "The request does not fit the model.\n"
        "  error[infer.input.missing]: The input 'x' is missing.\n"
        "    hint: It takes FP32 [1].\n"
        "  error[infer.input.unknown]: The model has no input 'y'.\n"
        "    where: request.json"
    )


@pytest.mark.parametrize(
    ("found", "kind"), [({}, ClocheError), ({"retriable": True, "kind": "new"}, UnavailableError)]
)
def test_an_object_that_says_less_is_still_an_error(
    found: dict[str, object], kind: type[ClocheError]
) -> None:
    error = from_dict(found)
    assert type(error) is kind
    assert error.what
