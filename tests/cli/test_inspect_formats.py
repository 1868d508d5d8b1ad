"""`cloche inspect --formats`: the table of what is served, of no model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cloche import composition
from fixtures.commands import Outcome

Run = Callable[..., Outcome]
VARIANTS = [variant for form in composition.formats().values() for variant in form.variants]


def test_the_table_is_printed_without_a_model(run: Run) -> None:
    lines = run("inspect", "--formats").expect(0).out.splitlines()
    assert lines[0].split()[0] == "FORMAT"
    rows = [line for line in lines[1 : lines.index("")] if not line.startswith(" ")]
    assert len(rows) == len(VARIANTS)
    assert "Recognised, and not served:" in lines


def test_the_table_is_an_object_for_programs(run: Run) -> None:
    report = run("inspect", "--formats", "--json").expect(0).json
    assert [each["name"] for each in report["formats"]] == [each.name for each in VARIANTS]
    weights = next(each for each in report["formats"] if each["name"] == "pytorch-weights")
    assert "class" in weights["keys"]
    assert weights["measured"]["parity"]["max_absolute"] <= 1e-4
    assert all(each["what"] and each["remedy"] for each in report["unserved"])


def test_a_model_beside_it_is_refused(run: Run, tmp_path: Path) -> None:
    refused = run("inspect", str(tmp_path), "--formats").expect(2)
    assert "MODEL and --formats were given together" in refused.err
