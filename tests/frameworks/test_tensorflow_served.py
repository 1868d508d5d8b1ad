"""Models of TensorFlow and JAX on real Triton, served by their own framework."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fixtures.command_line import User, a_user
from fixtures.saved_models import Saved, give_locks

pytestmark = pytest.mark.timeout(900)
Arrays = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def user(tensorflow: Saved, jax: Saved) -> Iterator[User]:
    """Somebody whose home has the locks that the environments of the tests were made from."""
    with a_user() as one:
        give_locks(one.home)
        yield one


def answer(user: User, name: str, content: dict[str, object], request: object) -> Arrays:
    """Deploy a model, and return the outputs that it gives by name."""
    written = user.folder / name / "cloche.yaml"
    written.parent.mkdir()
    written.write_text(json.dumps({"name": name, **content}))
    done = user.run("deploy", "-f", written, "--json").expect(0).json
    assert done["verification"]["judge"] == "reference"
    asked = written.parent / "request.json"
    asked.write_text(json.dumps({"inputs": request}))
    answered = user.run("infer", name, "--input", asked, "--json").expect(0).json
    return {
        output["name"]: np.array(output["data"]).reshape(output["shape"])
        for output in answered["outputs"]
    }


def test_a_model_of_keras_answers_as_it_did_in_training(user: User, tensorflow: Saved) -> None:
    given = np.load(tensorflow.folder / "two.npz")
    request = {name: given[name].tolist() for name in ("wide", "narrow")}
    found = answer(user, "two", tensorflow.spec("two.keras", conversion="off"), request)
    for name in ("total", "side"):
        np.testing.assert_allclose(found[name], given[name], 1e-4, 1e-5)


def test_a_model_of_texts_takes_any_text(user: User, tensorflow: Saved) -> None:
    texts = [["a good film"], ["Été naïve"], [""]]
    found = answer(user, "texts", tensorflow.spec("texts.keras"), {"text": texts})
    expected = np.load(tensorflow.folder / "texts.npy")
    np.testing.assert_allclose(found["output_0"], expected, 1e-4, 1e-6)


def test_nothing_is_left_outside_the_home_by_what_ran_the_model(
    user: User, tensorflow: Saved
) -> None:
    outside = user.folder / "outside"
    outside.mkdir()
    written = user.folder / "left.json"
    written.write_text(json.dumps({"name": "left", **tensorflow.spec("texts.keras")}))
    # Another home for the user, too: ~/.keras, ~/.cache and ~/.config are looked at.
    kept = {"UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv"))}
    variables = {"TMPDIR": str(outside), "HOME": str(outside), **kept}
    user.run("down").expect(0)
    user.run("deploy", "-f", written, **variables).expect(0)
    user.run("infer", "left", "--example", **variables).expect(0)
    user.run("delete", "left", "--yes", **variables).expect(0)
    user.run("down", **variables).expect(0)
    assert sorted(path.name for path in outside.rglob("*")) == []


def test_a_program_of_jax_answers_as_its_function(user: User, jax: Saved) -> None:
    rows = {"image": [[1] * 6, [0] * 6], "number": [1, 1], "flag": [True, False]}
    found = answer(user, "program", jax.spec("named.stablehlo"), rows)
    np.testing.assert_allclose(found["scores"], np.full((2, 3), 1 / 3), 1e-5)
    assert found["kept"].ravel().tolist() == [True, False]
