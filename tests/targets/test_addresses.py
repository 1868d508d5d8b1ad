"""Who is reached by the name of a model alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloche import composition, testing
from cloche.settings import Settings
from cloche.targets import Desired
from cloche.targets.local import records
from cloche.targets.local.addresses import Addresses


def arrived(*names: dict[str, tuple[str, ...]]) -> Addresses:
    found = Addresses()
    for each in names:
        found = found.with_names(each)
    return found


@pytest.mark.parametrize(
    ("seen", "owner"),
    [
        ([{"a": ("x",)}], "a"),
        ([{"b": ("x",)}, {"a": ("x",), "b": ("x",)}], "b"),
        # also where it is the later one's own name
        ([{"b": ("x",)}, {"b": ("x",), "x": ("x",)}], "b"),
        # at once: who is called like the model
        ([{"b": ("x",), "x": ("x",)}], "x"),
        ([{"b": ("x",), "a": ("x",)}], "a"),
        # who is not there now may be starting
        ([{"b": ("x",)}, {"a": ("x",)}], "b"),
        # who is there without the model has given it up, and stands last when it comes again
        ([{"b": ("x",)}, {"a": ("x",), "b": ("y",)}], "a"),
        ([{"b": ("x",)}, {"a": ("x",), "b": ("y",)}, {"a": ("x",), "b": ("x",)}], "a"),
        ([{"a": ("y",)}], None),
    ],
)
def test_a_name_belongs_to_who_had_it_first(
    seen: list[dict[str, tuple[str, ...]]], owner: str | None
) -> None:
    assert arrived(*seen).owner("x") == owner


def test_the_next_one_takes_over_when_the_first_has_gone() -> None:
    both = arrived({"b": ("x", "z")}, {"a": ("x",), "b": ("x", "z")})
    assert both.owned("a", ("x",)) == ()
    assert both.owned("b", ("z", "x")) == ("z", "x")
    for gone in (both.without("b"), both.kept(("a",))):
        assert (gone.owner("x"), gone.owner("z")) == ("a", None)
    assert both.without("a").owner("x") == "b"


def test_a_taken_name_is_foreseen_while_nothing_runs_and_nothing_is_touched(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, gateway_port=18080)
    repository = testing.deployment("digits").repository
    digits = Desired("digits", asked=repository)
    assert composition.target(settings).foresee(digits) == ()
    records.save(settings.layout.addresses, arrived({"first": ("digits",)}))
    (finding,) = composition.target(settings).foresee(digits)
    assert (finding.code, finding.where) == ("address.taken", "digits")
    assert "digits leads to first" in finding.what
    assert "http://digits.localhost:18080" in (finding.hint or "")
    assert composition.target(settings).foresee(Desired("first", asked=repository)) == ()
    assert not settings.layout.run.exists()
