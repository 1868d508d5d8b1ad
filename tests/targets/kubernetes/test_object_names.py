"""Names of objects: valid in Kubernetes, and no two services or revisions meet in one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.spec import names as service_names
from cloche.targets.kubernetes import names

LABEL_1035 = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
services = st.from_regex(service_names.LABEL, fullmatch=True)
numbers = st.integers(1, 999_999)


@pytest.mark.parametrize(
    ("service", "plain"),
    [
        ("digits", True),
        ("a", True),
        ("a-r2", False),
        ("a-r2-b", True),
        ("7zip", False),
        ("x" * 55, True),
        ("x" * 56, False),
        ("x" * 63, False),
        ("c0123abcd-a", False),
        ("c0123abcd", False),
        ("cab", True),
    ],
)
def test_a_name_is_the_service_s_own_where_it_can_be(service: str, plain: bool) -> None:
    assert (names.of_service(service) == service) is plain


@given(services, numbers)
def test_every_name_is_a_label(service: str, number: int) -> None:
    for name in (names.of_service(service), names.of_revision(service, number)):
        assert LABEL_1035.fullmatch(name)


@given(services, services, numbers, numbers)
def test_no_two_objects_share_a_name(one: str, other: str, first: int, second: int) -> None:
    assert names.of_service(one) != names.of_revision(other, first)
    if one != other:
        assert names.of_service(one) != names.of_service(other)
    if (one, first) != (other, second):
        assert names.of_revision(one, first) != names.of_revision(other, second)


@given(services, numbers)
def test_a_name_like_a_revision_s_is_not_one(service: str, number: int) -> None:
    like = f"{service}-r{number}"
    if service_names.is_safe(like):
        assert names.of_service(like) != names.of_revision(service, number)


def test_labels_say_whose_an_object_is() -> None:
    assert names.revision_of(names.labels("digits", 3)) == 3
    assert names.revision_of(names.labels("digits")) is None
    assert names.selector("digits", 3).items() <= names.labels("digits", 3).items()
