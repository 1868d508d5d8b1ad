"""What clients of the live revision would notice of the next one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloche.artifacts import ModelRepository, RepositoryMember, TensorSpec
from cloche.rollout.interface import changes

INPUT = TensorSpec("x", "FP32", (-1, 3, 224, 224))
OUTPUT = TensorSpec("y", "FP32", (-1, 10))
MEMBER = RepositoryMember("net", "onnxruntime", (INPUT,), (OUTPUT,), 8)


def repository(member: RepositoryMember) -> ModelRepository:
    return ModelRepository("net", "sha256:0", (), (member,))


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        ({}, ()),
        ({"inputs": (replace(INPUT, shape=(-1, 3, -1, -1)),)}, ()),
        ({"inputs": (INPUT, TensorSpec("more", "BOOL", (-1,), optional=True))}, ()),
        ({"outputs": (OUTPUT, TensorSpec("z", "INT64", (-1,)))}, ()),
        ({"max_batch_size": 4}, ()),
        (
            {"inputs": (replace(INPUT, shape=(-1, 3, 299, 299)),)},
            ("the input x is FP32 [?, 3, 299, 299] instead of FP32 [?, 3, 224, 224]",),
        ),
        (
            {"inputs": (replace(INPUT, datatype="UINT8"),)},
            ("the input x is UINT8 [?, 3, 224, 224] instead of FP32 [?, 3, 224, 224]",),
        ),
        (
            {"inputs": (replace(INPUT, name="image"),)},
            ("the input x is gone", "there is a new input image FP32 [?, 3, 224, 224]"),
        ),
        (
            {"outputs": (replace(OUTPUT, shape=(-1, 12)),)},
            ("the output y is FP32 [?, 12] instead of FP32 [?, 10]",),
        ),
        (
            {"outputs": (replace(OUTPUT, shape=(-1, -1)),)},
            ("the output y is FP32 [?, ?] instead of FP32 [?, 10]",),
        ),
        ({"outputs": ()}, ("the output y is gone",)),
        ({"backend": "python"}, ("the backend is python instead of onnxruntime",)),
        ({"name": "other"}, ("the model is called other instead of net",)),
    ],
)
def test_what_clients_notice(change: dict[str, object], noticed: tuple[str, ...]) -> None:
    after = replace(MEMBER, **change)  # type: ignore[arg-type]
    assert changes(repository(MEMBER), repository(after)) == noticed


def test_an_optional_input_that_is_needed_now_is_noticed() -> None:
    optional = replace(MEMBER, inputs=(replace(INPUT, optional=True),))
    assert changes(repository(optional), repository(MEMBER))
    assert not changes(repository(MEMBER), repository(optional))


def test_a_backend_that_nobody_knows_is_no_change() -> None:
    unknown = replace(MEMBER, backend="")
    assert changes(repository(unknown), repository(MEMBER)) == ()


def test_models_beside_the_first_one_that_are_gone() -> None:
    both = replace(repository(MEMBER), members=(MEMBER, replace(MEMBER, name="second")))
    assert changes(both, repository(MEMBER)) == ("the model second is gone",)
    assert changes(repository(MEMBER), both) == ()
