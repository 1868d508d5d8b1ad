"""A finished repository with a requirements.txt: its code runs with the packages that it names."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from fixtures.command_line import User, a_user, finished

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def user() -> Iterator[User]:
    with a_user() as one:
        yield one


def test_a_python_model_imports_what_its_requirements_name(user: User) -> None:
    repository = finished(user.folder / "repository", "wide", "x * wcwidth.wcwidth('コ')")
    model = repository / "wide"
    code = model / "1" / "model.py"
    code.write_text(f"import wcwidth\n{code.read_text()}")
    (model / "requirements.txt").write_text("wcwidth==0.2.13\nnumpy\n")
    (model / ".python-version").write_text("3.11\n")
    done = user.run("deploy", repository, "--name", "wide", "--json")
    if done.code and json.loads(done.out or "{}").get("code") == "environment.network":
        pytest.skip("needs a package index")
    assert done.expect(0).json["verified"]
    (user.folder / "x.json").write_text('{"x": [1, 2, 3, 4]}')
    answer = user.run("infer", "wide", "--input", "x.json", "--json").expect(0).json
    assert answer["outputs"][0]["data"] == [2, 4, 6, 8], answer
    plan = user.run("plan", repository, "--name", "wide", "--why").expect(0).out
    assert "repository.requirements" in plan
    assert "wide: parameters.EXECUTION_ENV_PATH" in plan
    assert "Its own environment" not in plan
    other = user.run("plan", repository, "--name", "other").expect(0).out
    assert "Its own environment: Python 3.11, " in other
    assert " in 2 packages" in other
    (environment,) = user.run("plan", repository, "--name", "other", "--json").json["environments"]
    assert environment["sizes"].keys() == {"numpy", "wcwidth"}
