"""The words in which the gateway refuses; tests/local/test_bounds.py sends such requests."""

from __future__ import annotations

import json
from pathlib import Path

from cloche.settings import Settings
from cloche.targets.local.envoy import bounds

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "inference.md"


def test_the_guide_has_all_refusals_word_for_word() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    for words in bounds.words(Settings(home=Path("/home"))).values():
        assert f" {words} |\n" in guide


def test_json_is_never_allowed_more_than_any_request() -> None:
    settings = Settings(home=Path("/home"), gateway_max_request_bytes=1000)
    assert "1000 bytes" in bounds.words(settings)["json"]
    assert "json = 1000," in json.dumps(bounds.http_filters(settings))
