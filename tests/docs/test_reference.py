"""The documentation says what is: generated pages are fresh, links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from cloche import settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def generated() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.pages()


def test_generated_pages_are_fresh(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    for name, text in generated().items():
        committed = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
        assert committed == text, f"docs/reference/{name} is stale: run `make docs`"


def test_every_setting_is_documented_with_its_variable():
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    for key in settings.KEYS:
        assert f"| `{key.name}` | `{key.variable}`" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)", text):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{target} in {page.name}"


def test_the_readmes_show_the_same_code():
    def blocks(name: str, languages: str) -> list[str]:
        text = (ROOT / name).read_text(encoding="utf-8")
        return re.findall(rf"^```(?:{languages})\n(.*?)^```", text, re.DOTALL | re.MULTILINE)

    for languages in ("sh", "python"):
        english = blocks("README.md", languages)
        assert english
        assert blocks("README.zh-CN.md", languages) == english
