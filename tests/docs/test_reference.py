"""The documentation says what is: generated pages are fresh, links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloche import settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.fixture(scope="module")
def generated() -> Iterator[dict[str, str]]:
    """The generated pages by name."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("NO_COLOR", "1")
        patched.syspath_prepend(ROOT / "docs")
        yield _pages()


def _pages() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pages: dict[str, str] = module.pages()
    return pages


def test_generated_pages_are_fresh(generated):
    for name, text in generated.items():
        committed = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
        assert committed == text, f"docs/reference/{name} is stale: run `make docs`"


def test_every_error_code_of_the_source_is_listed(generated):
    page = generated["errors.md"]
    for row in (
        # At the call, by a helper that is given the code, in a class, as a carried problem, of a
        # class that is chosen before.
        r"`service.unknown` \| NotFoundError \| 1 \| 404 \| There is no service …\.",
        r"`source.files.lfs` \| ClocheError \| 1 \| 500 \| This is a Git LFS pointer",
        r"`target.apply` \| ErrorGroup \| 1 to 3 \| 422, 500 \| … could not be applied",
        r"`spec.documents` \| UsageError \| 2 \| 422 \| A second document begins here",
        r"`mlflow.refused` \| UnavailableError \| 1 \| 503 \| The MLflow server answered …",
        r"`control.unauthorized` \| ClocheError \| 1 \| 401 \| ",
        r"`api.too_large` \| ClocheError \| 1 \| 413 \| ",
        r"`rollback.gone` \| ConflictError \| 1 \| 409 \| Revision … of … cannot be brought back",
    ):
        assert re.search(row, page), row
    written = set(re.findall(r"[A-Za-z]*Error\(\s*\"([a-z_]+(?:\.[a-z_]+)+)\"", _source()))
    assert len(written) > 100
    assert written <= set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE))


def _source() -> str:
    """Return all of Cloche's source but its doubles."""
    folder = ROOT / "src" / "cloche"
    files = sorted(set(folder.rglob("*.py")) - set((folder / "testing").rglob("*.py")))
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


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


def test_contributing_shows_the_layers_that_are_held():
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["type"] == "layers")
    arrows = " → ".join(layers).replace("cloche.", "")
    text = " ".join((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split())
    assert f"``` {arrows} ```" in text, f"CONTRIBUTING.md has other layers than {arrows}"


def test_the_readmes_show_the_same_code():
    def blocks(name: str, languages: str) -> list[str]:
        text = (ROOT / name).read_text(encoding="utf-8")
        return re.findall(rf"^```(?:{languages})\n(.*?)^```", text, re.DOTALL | re.MULTILINE)

    for languages in ("sh", "python"):
        english = blocks("README.md", languages)
        assert english
        assert blocks("README.zh-CN.md", languages) == english
