"""What Envoy's log says of refused files, and which services are blamed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.targets.local.envoy.isolation import isolate
from cloche.targets.local.envoy.refusals import EnvoyLog
from cloche.targets.local.envoy.services import ServiceRoutes

HEAD = "[2026-11-25 23:30:22.045][16315][warning][config] [a/filesystem_subscription_impl.cc:81]"
LONG = f"""{HEAD} Filesystem config update rejected: name: "a.r1.grpc"
health_checks {{
}}
: Proto constraint validation failed (A: embedded message failed | caused by B.Port: too large)
"""
SHORT = f"{HEAD} Filesystem config update rejected: regex 'x' is too long\n"
LISTENER = f"{HEAD} Filesystem config update rejected: Error adding listener(s) a: cannot bind\n"
OTHER = "[2026-11-25 23:30:22.045][1][warning][upstream] [x.cc:1] something else\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (OTHER, []),
        (SHORT + OTHER, ["regex 'x' is too long"]),
        (OTHER + LONG + SHORT, ["B.Port: too large", "regex 'x' is too long"]),
        ("no entry at all\n" + SHORT, ["regex 'x' is too long"]),
    ],
)
def test_the_words_of_a_refusal(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "log"
    log = EnvoyLog(path)
    assert (log.size(), log.refusals(0)) == (0, [])
    path.write_text(SHORT)
    mark = log.size()
    with path.open("a") as file:
        file.write(text)
    assert log.refusals(mark) == words
    path.write_text(text[:100])  # it was truncated meanwhile
    assert isinstance(log.refusals(mark), list)


def test_a_refused_listener_is_told_from_refused_routes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(SHORT)
    assert EnvoyLog(path).listener_refusal(0) is None
    path.write_text(SHORT + LISTENER + SHORT)
    assert "cannot bind" in (EnvoyLog(path).listener_refusal(0) or "")


@given(st.lists(st.booleans(), max_size=20))
def test_only_refused_services_are_blamed_and_the_last_offer_is_of_all_others(
    bad: list[bool],
) -> None:
    services = [ServiceRoutes(f"s{number}", ("m",)) for number, _ in enumerate(bad)]
    wrong = {each.name for each, is_bad in zip(services, bad, strict=True) if is_bad}
    offers: list[list[str]] = []

    def offer(offered: Sequence[ServiceRoutes]) -> str | None:
        names = [each.name for each in offered]
        offers.append(names)
        return "no" if wrong & set(names) else None

    assert set(isolate(services, offer)) == wrong
    assert offers[-1] == [each.name for each in services if each.name not in wrong]
    taken: set[str] = set()
    for names in offers:
        if not wrong & set(names):
            assert taken <= set(names), "what was taken once stays"
            taken = set(names)
    if not wrong:
        assert len(offers) == 1
