"""What a SavedModel tells without TensorFlow, and the choice among its signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloche.artifacts import ModelOptions
from cloche.errors import ClocheError
from cloche.formats.tensorflow import inspection, requirements, saved_model
from cloche.formats.tensorflow.format import TensorFlowFormat
from cloche.formats.tensorflow.messages import saved_model_class

if TYPE_CHECKING:
    from pathlib import Path

FLOAT, STRING, INT64, BFLOAT16 = 1, 7, 9, 14
X = ("x", FLOAT, (-1, 3))


def graph(*signatures: tuple[str, list[Any], list[Any]], version: str = "2.21.0") -> bytes:
    """Return saved_model.pb with signatures; a tensor is its name, type and shape."""
    message = saved_model_class()()
    held = message.meta_graphs.add()
    held.meta_info.tags.append("serve")
    held.meta_info.tensorflow_version = version
    for name, inputs, outputs in signatures:
        entry = held.signatures.add(key=name)
        for tensors, listed in ((inputs, entry.value.inputs), (outputs, entry.value.outputs)):
            for key, dtype, shape in tensors:
                tensor = listed.add(key=key)
                tensor.value.name = f"{key}:0"
                tensor.value.dtype = dtype
                tensor.value.shape.unknown_rank = shape is None
                for size in shape or ():
                    tensor.value.shape.dim.add(size=size)
    return bytes(message.SerializeToString())


def held(folder: Path, data: bytes) -> saved_model.SavedModel:
    (folder / saved_model.GRAPH).write_bytes(data)
    return inspection.saved(folder, "here")


def chosen(folder: Path, data: bytes, name: str | None = None) -> str:
    options = ModelOptions(signature=name)
    return inspection.signature(held(folder, data), options, "here").name


def test_signatures_types_and_shapes_are_read(tmp_path: Path) -> None:
    tensors = [("words", STRING, (-1,)), ("ids", INT64, (2, -1))]
    found = held(tmp_path, graph(("serving_default", tensors, [("y", FLOAT, (-1,))])))
    assert found.version == "2.21.0"
    (signature,) = found.signatures
    assert [(each.name, each.datatype, each.shape) for each in signature.inputs] == [
        ("ids", "INT64", (2, -1)),
        ("words", "BYTES", (-1,)),
    ]
    assert signature.unservable is None


SIGNATURES = [
    ([("serving_default", [X], [X])], None, "serving_default"),
    ([("score", [X], [X])], None, "score"),
    ([("serve", [X], [X]), ("serving_default", [X], [X])], None, "serving_default"),
    ([("__saved_model_init_op", [], [X]), ("score", [X], [X])], None, "score"),
    ([("a", [X], [X]), ("b", [X], [X])], "b", "b"),
    ([("serve", [X], [X]), ("serving_default", [("n", FLOAT, ())], [X])], "serve", "serve"),
]


@pytest.mark.parametrize(("signatures", "asked", "expected"), SIGNATURES)
def test_a_signature_is_chosen(
    tmp_path: Path, signatures: list[Any], asked: str | None, expected: str
) -> None:
    assert chosen(tmp_path, graph(*signatures), asked) == expected


REFUSED = [
    ([], None, "unsigned", "no signatures"),
    ([("__saved_model_init_op", [], [])], None, "unsigned", "no signatures"),
    ([("a", [X], [X]), ("b", [X], [X])], None, "signature", "a (x → x); b (x → x)"),
    (
        [("a", [X], [X]), ("serving_default", [], [X])],
        None, "signature", "serving_default (no inputs → x)",
    ),
    ([("a", [X], [X])], "b", "signature", "no signature b"),
    ([("a", [("x", FLOAT, None)], [X])], None, "tensor", "any number of axes"),
    ([("a", [], [X])], None, "tensor", "takes no inputs"),
    ([("a", [("x", BFLOAT16, ())], [X])], None, "tensor", "number 14"),
]  # fmt: skip


@pytest.mark.parametrize(("signatures", "asked", "code", "words"), REFUSED)
def test_what_cannot_be_served_is_refused(
    tmp_path: Path, signatures: list[Any], asked: str | None, code: str, words: str
) -> None:
    with pytest.raises(ClocheError) as refused:
        chosen(tmp_path, graph(*signatures), asked)
    assert refused.value.code == f"inspection.tensorflow.{code}"
    assert words in refused.value.what
    assert refused.value.hint


def test_the_graph_to_serve_is_the_one_with_its_tag(tmp_path: Path) -> None:
    training = saved_model_class()()
    training.meta_graphs.add().meta_info.tags.append("train")
    data = bytes(training.SerializeToString()) + graph(("score", [X], [X]))
    assert chosen(tmp_path, data) == "score"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=300), keep=st.integers(0, 120), at=st.integers(0, 119))
def test_broken_bytes_are_called_broken(tmp_path: Path, data: bytes, keep: int, at: int) -> None:
    whole = graph(("serving_default", [X], [("y", STRING, (-1,))]))
    for broken in (data, whole[:keep], whole[:at] + data[:3] + whole[at:]):
        try:
            found = held(tmp_path, broken)
            inspection.signature(found, ModelOptions(), "here")
        except ClocheError as error:
            assert error.code.startswith("inspection.tensorflow.")  # noqa: PT017 - or no error


def test_other_files_of_the_folder_stay(tmp_path: Path) -> None:
    for name in ("saved_model.pb", "variables/variables.index", "assets/words.txt", "notes/a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    form = TensorFlowFormat()
    assert form.detect(tmp_path)
    files = form.files(tmp_path, None)  # type: ignore[arg-type]
    assert set(files.files) == {"saved_model.pb", "variables/variables.index", "assets/words.txt"}


RELEASES = [
    ("saved", "2.21.0", {}, ("tensorflow==2.21.0",), "records"),
    ("saved", "2.18.1", {}, ("tensorflow==2.18.1",), "records"),
    ("saved", "2.10.0", {}, ("tensorflow==2.21.0",), "cannot be installed for Python 3.12"),
    ("saved", "2.10.0", {"python": "3.10"}, ("tensorflow==2.10.0",), "records"),
    ("saved", "2.22.0-dev20260101", {}, ("tensorflow==2.21.0",), "later ones read"),
    ("saved", None, {}, ("tensorflow==2.21.0",), "newest that was tested"),
    ("keras", "3.15.1", {}, ("keras==3.15.1", "tensorflow==2.21.0"), "records"),
    ("keras", "3.4.1", {}, ("keras==3.4.1", "tensorflow"), "records"),
    ("keras", "2.15.0", {}, ("keras==3.15.1", "tensorflow==2.21.0"), "cannot be installed"),
]


@pytest.mark.parametrize(("kind", "version", "more", "lines", "why"), RELEASES)
def test_requirements_follow_what_the_file_records(  # noqa: PLR0917 - a row of the table
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    version: str | None,
    more: dict[str, str],
    lines: tuple[str, ...],
    why: str,
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    of = requirements.of_saved_model if kind == "saved" else requirements.of_keras
    found, (finding,) = of(version, ModelOptions(**more))  # type: ignore[arg-type]
    assert found == lines
    assert why in finding.what


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("numpy", "tensorflow==2.21.0"), ("numpy", "tensorflow-cpu==2.21.0")),
        (("TensorFlow>=2.16,<3",), ("tensorflow-cpu>=2.16,<3",)),
        (("tensorflow==2.21.0", "tensorflow-cpu==2.21.0"), ("tensorflow-cpu==2.21.0",)),
        (("tensorflow-cpu==2.21.0",), ("tensorflow-cpu==2.21.0",)),
        (("tensorflow-probability",), ("tensorflow-probability",)),
    ],
)
def test_the_build_for_cpus_is_taken(
    monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    found, findings = requirements.on_cpu(lines)
    assert found == expected
    assert bool(findings) is (found != lines)


def test_the_usual_signature_is_the_one_that_a_hint_names(tmp_path: Path) -> None:
    several = graph(("embed", [X], [X]), ("serving_default", [X], [X]))
    with pytest.raises(ClocheError) as refused:
        chosen(tmp_path, several)
    assert "`signature: serving_default`" in (refused.value.hint or "")
