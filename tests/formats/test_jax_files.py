"""What a program that JAX exported tells without JAX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloche.artifacts import ModelFormat, ModelOptions, ModelSnapshot
from cloche.errors import ClocheError
from cloche.formats.jax import exported, inspection
from cloche.formats.jax.exported import Exported

SAMPLE = Path(__file__).parents[1] / "frameworks" / "on_gpu" / "stablehlo_cuda.bin"
WHOLE = SAMPLE.read_bytes()
ON_CPU = Exported("f", ("cpu", "cuda"), 1, 12, 10, "0.11.2")


def facts(monkeypatch: pytest.MonkeyPatch, held: Exported | None, **options: Any) -> Any:
    monkeypatch.setattr(inspection, "exported", lambda _: held)
    snapshot = ModelSnapshot(
        "m", "m", "files", None, "sha256:0", ModelFormat.JAX, (), "model.stablehlo"
    )
    return inspection.inspect_file(snapshot, SAMPLE, ModelOptions(**options))


def test_a_program_is_read() -> None:
    assert exported.exported(SAMPLE) == Exported("<lambda>", ("cuda",), 1, 12, 10, "0.11.2")


@pytest.mark.parametrize(
    ("held", "code", "words"),
    [
        (Exported("f", ("cuda",), 1, 12, 10, None), "platform", "exported for cuda"),
        (Exported("f", ("cpu",), 8, 12, 10, None), "devices", "8 devices"),
        (None, "damaged", "not whole"),
    ],
)
def test_what_does_not_run_here_is_refused(
    monkeypatch: pytest.MonkeyPatch, held: Exported | None, code: str, words: str
) -> None:
    with pytest.raises(ClocheError) as refused:
        facts(monkeypatch, held)
    assert refused.value.code == f"inspection.jax.{code}"
    assert words in refused.value.what
    assert refused.value.hint


@pytest.mark.parametrize(
    ("release", "line"),
    [
        (None, f"jax=={inspection.TESTED}"),
        ("0.11.2", f"jax=={inspection.TESTED}"),
        ("0.13.0", "jax==0.13.0"),
        ("0.13.0.dev20270101+abc", f"jax=={inspection.TESTED}"),
        ("what", f"jax=={inspection.TESTED}"),
    ],
)
def test_the_release_is_the_newest_that_reads_it(
    monkeypatch: pytest.MonkeyPatch, release: str | None, line: str
) -> None:
    held = Exported("f", ("cpu",), 1, 12, 10, release)
    assert facts(monkeypatch, held).requirements == (line,)


def test_the_spec_names_another_release(monkeypatch: pytest.MonkeyPatch) -> None:
    known = facts(monkeypatch, ON_CPU, requirements=("jax==0.8.1",), python="3.11")
    assert (known.requirements, known.python) == (("jax==0.8.1",), "3.11")


@settings(deadline=None)
@given(
    data=st.binary(min_size=1, max_size=80),
    keep=st.integers(0, len(WHOLE)),
    at=st.integers(0, len(WHOLE)),
)
def test_broken_bytes_are_no_error(data: bytes, keep: int, at: int) -> None:
    assert exported.parse(data) is None
    for broken in (WHOLE[:keep], WHOLE[:at] + data + WHOLE[at + len(data) :]):
        found = exported.parse(broken)
        assert found is None or isinstance(found, Exported)


@settings(deadline=None)
@given(data=st.binary(min_size=4, max_size=4), at=st.integers(0, 200))
def test_any_offset_is_no_error(data: bytes, at: int) -> None:
    exported.parse(WHOLE[:at] + data + WHOLE[at + 4 :])
