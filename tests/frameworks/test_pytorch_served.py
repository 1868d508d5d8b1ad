"""Models of PyTorch on real Triton: converted, as they are, and in a repository for libtorch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fixtures.command_line import User, a_user
from fixtures.saved_models import PYTHON, Saved, give_locks

pytestmark = pytest.mark.timeout(900)

LIBTORCH = """
platform: "pytorch_libtorch"
max_batch_size: {batch}
input [{{ name: "{input}" data_type: TYPE_FP32 dims: {dims} {reshape} }}]
output [{{ name: "{output}" data_type: TYPE_FP32 dims: {out} }}]
"""


@pytest.fixture(scope="module")
def user(pytorch: Saved) -> Iterator[User]:
    """Somebody whose home has the lock that the environment of the tests was made from."""
    with a_user() as one:
        give_locks(one.home)
        yield one


def declare(user: User, name: str, content: dict[str, object]) -> Path:
    path = user.folder / name / "cloche.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"name": name, **content}))
    return path


def image_and_answer(pytorch: Saved) -> tuple[Path, np.ndarray]:
    return pytorch.folder / "image.npy", np.load(pytorch.folder / "answer.npy")


@pytest.mark.parametrize("conversion", ["auto", "off"])
def test_a_module_answers_as_it_did_in_training(
    user: User, pytorch: Saved, conversion: str
) -> None:
    image, expected = image_and_answer(pytorch)
    name = f"net-{conversion}"
    written = declare(user, name, pytorch.spec("training.pt", conversion=conversion))
    done = user.run("deploy", "-f", written, "--json").expect(0).json
    assert done["verification"]["judge"] == "reference"
    answer = user.run("infer", name, "--input", image, "--json").expect(0).json
    (output,) = answer["outputs"]
    np.testing.assert_allclose(np.array(output["data"]).reshape(output["shape"]), expected, 1e-4)
    plan = user.run("plan", "-f", written).expect(0).out
    words = "served as ONNX" if conversion == "auto" else "conversion is off"
    assert words in plan
    assert "training mode" in plan


def test_classes_have_the_names_of_the_file(user: User, pytorch: Saved) -> None:
    labels = user.folder / "named" / "labels.txt"
    labels.parent.mkdir()
    labels.write_text("ant\nbee\ncat\ndog\neel\n")
    written = declare(user, "named", pytorch.spec("training.pt", labels="labels.txt"))
    user.run("deploy", "-f", written, "--json").expect(0)
    image, expected = image_and_answer(pytorch)
    best = ["ant", "bee", "cat", "dog", "eel"][int(expected[0].argmax())]
    text = user.run("infer", "named", "--input", image).expect(0).out
    assert text.splitlines()[2].split()[1] == best, text
    labels.write_text("ant\nbee\n")
    refused = user.run("deploy", "-f", written, "--json").expect(2).json
    assert refused["error"]["code"] == "repository.labels"


def repository(user: User, name: str, model: Path, **config: object) -> Path:
    folder = user.folder / f"{name}-repository" / name
    (folder / "1").mkdir(parents=True)
    shutil.copyfile(model, folder / "1" / "model.pt")
    (folder / ".python-version").write_text(PYTHON)  # the one that is there
    common = {"reshape": "", "batch": 0, "input": "x", "output": "output__0"}
    (folder / "config.pbtxt").write_text(LIBTORCH.format(**{**common, **config}))
    return folder.parent


def test_a_repository_for_libtorch_is_served_as_it_is(user: User, pytorch: Saved) -> None:
    image, expected = image_and_answer(pytorch)
    scripted = pytorch.folder / "traced.pth"
    batched = repository(
        user, "batched", scripted, batch=8, dims="[3, -1, -1]", out="[5]", input="image__0"
    )
    done = user.run("deploy", batched, "--name", "batched", "--json").expect(0).json
    assert done["verification"]["judge"] == "reference"
    answer = user.run("infer", "batched", "--input", image, "--json").expect(0).json
    (output,) = answer["outputs"]
    assert output["name"] == "output__0"
    np.testing.assert_allclose(np.array(output["data"]).reshape(output["shape"]), expected, 1e-4)


def test_a_reshape_in_a_tutorials_configuration_is_heeded(user: User, pytorch: Saved) -> None:
    image, expected = image_and_answer(pytorch)
    one = repository(
        user, "reshaped", pytorch.folder / "traced.pth", dims="[3, 24, 24]", out="[1, 5, 1, 1]",
        reshape="reshape { shape: [1, 3, 24, 24] }",
    )  # fmt: skip
    user.run("deploy", one, "--name", "reshaped", "--json").expect(0)
    request = user.folder / "one.npy"
    np.save(request, np.load(image)[0])
    answer = user.run("infer", "reshaped", "--input", request, "--json").expect(0).json
    assert answer["outputs"][0]["shape"] == [1, 5, 1, 1]
    np.testing.assert_allclose(answer["outputs"][0]["data"], expected[0], 1e-4)


WRONG: list[tuple[str, dict[str, object], str, str]] = [
    ("traced.pth", {"output": "output"}, "repository.libtorch.output", "output__0"),
    ("training.pt", {}, "repository.libtorch.file", "TorchScript"),
    ("e.pt2", {}, "repository.libtorch.file", "an exported program"),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: f"{case[0]}-{case[2]}")
def test_the_mistakes_of_tutorials_are_refused_with_what_to_write(
    user: User, pytorch: Saved, case: tuple[str, dict[str, object], str, str]
) -> None:
    model, config, code, words = case
    name = f"wrong-{WRONG.index(case)}"
    common = {"dims": "[-1, 3, 24, 24]", "out": "[-1, 5]"}
    wrong = repository(user, name, pytorch.folder / model, **common, **config)
    refused = user.run("deploy", wrong, "--name", name)
    assert refused.code != 0
    assert code in refused.err
    assert words in refused.err
