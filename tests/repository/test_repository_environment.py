"""Finished repositories whose Python models have a requirements.txt."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloche import pipeline
from cloche.artifacts import Lock, ModelFacts, ModelRepository
from cloche.errors import ClocheError, ErrorGroup
from cloche.model_config.messages import parse
from cloche.spec import ServiceSpec
from cloche.store import Store
from finished_repository import ONNX, PYTHON, ensemble, facts_of, taken

LOCK = Lock("sha256:" + "1" * 64, "3.12", "leaf==1.0 --hash=sha256:00\n")
MODEL = {"m/config.pbtxt": PYTHON + "# the end", "m/1/model.py": ""}
OWN = 'parameters { key: "EXECUTION_ENV_PATH" value { string_value: "%s" } }\n'


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", 2**30)


def kept(store: Store, files: dict[str, str], facts: ModelFacts) -> ModelRepository:
    lock = LOCK if facts.requirements else None
    return pipeline.build("m", taken(store, files), facts, lock, ServiceSpec(model="x"), store)


@pytest.mark.parametrize("place", ["m/requirements.txt", "m/1/requirements.txt"])
def test_requirements_are_locked_for_tritons_python(store: Store, place: str) -> None:
    facts = facts_of(store, MODEL | {place: "leaf==1.0\n# more\n"})
    assert facts.requirements == ("leaf==1.0", "numpy")
    assert facts.python == "3.12"
    [finding] = facts.findings
    assert (finding.code, finding.where) == ("repository.requirements", place)
    assert "EXECUTION_ENV_PATH" in finding.what
    assert "m/.python-version" in (finding.hint or "")


def test_the_parameter_is_all_that_changes(store: Store) -> None:
    files = MODEL | {"m/requirements.txt": "leaf\n", "m/notes.md": "n"}
    model = taken(store, files)
    built = kept(store, files, facts_of(store, files))
    digests = {file.path: file.digest for file in built.files}
    before = {file.path: file.digest for file in model.files}
    changed = {path for path, digest in digests.items() if before.get(path) != digest}
    assert changed == {"m/config.pbtxt", "m/requirements.lock"}
    config = store.read(digests["m/config.pbtxt"])
    assert config.startswith(files["m/config.pbtxt"].encode() + b"\n")
    value = parse(config, "m")
    assert value.parameters["EXECUTION_ENV_PATH"].string_value == (
        "$$TRITON_MODEL_DIRECTORY/environment"
    )
    assert store.read(digests["m/requirements.lock"]).startswith(b"# python 3.12\nleaf==1.0")
    assert built.main.lock_digest == LOCK.digest
    assert [reason.field for reason in built.reasons] == [
        "config.pbtxt", "m: parameters.EXECUTION_ENV_PATH",
    ]  # fmt: skip


def test_a_model_without_a_configuration_gets_one(store: Store) -> None:
    files = {"m/1/model.py": "", "m/1/requirements.txt": "leaf\n"}
    built = kept(store, files, facts_of(store, files))
    digest = next(file.digest for file in built.files if file.path == "m/config.pbtxt")
    value = parse(store.read(digest), "m")
    assert value.backend == "python"
    assert "EXECUTION_ENV_PATH" in value.parameters


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"m/requirements.txt": "# nothing\n"},
        {"m/config.pbtxt": PYTHON + OWN % "$$TRITON_MODEL_DIRECTORY/env",
         "m/env/bin/activate": "", "m/requirements.txt": "leaf"},
        {"m/config.pbtxt": PYTHON + OWN % "$$TRITON_MODEL_DIRECTORY/e.tar.gz",
         "m/e.tar.gz": "", "m/requirements.txt": "leaf"},
        {"m/environment/bin/python": "", "m/requirements.txt": "leaf"},
        {"m/triton_python_backend_stub": "", "m/requirements.txt": "leaf"},
        {"m/config.pbtxt": ONNX, "m/1/model.onnx": "", "m/requirements.txt": "leaf"},
        {"requirements.txt": "leaf"},
    ],
)  # fmt: skip
def test_a_model_with_an_environment_or_without_requirements_is_kept(
    store: Store, more: dict[str, str]
) -> None:
    files = MODEL | more
    facts = facts_of(store, files)
    assert (facts.requirements, facts.python) == ((), None)
    assert kept(store, files, facts).digest == taken(store, files).digest


def test_a_configuration_that_asks_for_it_is_not_changed(store: Store) -> None:
    config = PYTHON + OWN % "$$TRITON_MODEL_DIRECTORY/environment"
    files = MODEL | {"m/config.pbtxt": config, "m/requirements.txt": "leaf"}
    built = kept(store, files, facts_of(store, files))
    before = {file.path: file.digest for file in taken(store, files).files}
    assert {file.path for file in built.files if before.get(file.path) != file.digest} == {
        "m/requirements.lock"
    }


def test_the_models_of_a_repository_share_one_environment(store: Store) -> None:
    files = {
        "m/config.pbtxt": ensemble("step"),
        "step/config.pbtxt": PYTHON,
        "step/1/model.py": "",
        "step/requirements.txt": "leaf==1.0\nnumpy<2\n",
        "step/.python-version": "3.11.7\n",
        "other/1/model.py": "",
        "other/requirements.txt": "-r more.txt",
        "other/more.txt": "leaf==1.0\nbranch",
        "plain/1/model.py": "",
    }
    facts = facts_of(store, files, "m")
    assert (facts.python, facts.requirements) == ("3.11", ("leaf==1.0", "branch", "numpy<2"))
    built = kept(store, files, facts)
    paths = {file.path for file in built.files}
    assert {"step/requirements.lock", "other/config.pbtxt"} <= paths
    assert "plain/config.pbtxt" not in paths


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ({"other/requirements.txt": "leaf==2"}, "inspection.requirements.disagree",
         "leaf==1 (m/requirements.txt), but leaf==2 (other/requirements.txt)"),
        ({"m/.python-version": "3.11", "other/.python-version": "3.10",
          "other/requirements.txt": "a"}, "repository.python", "3.11 (m), 3.10 (other)"),
        ({"m/.python-version": "3.14.1"}, "repository.python", "cannot run"),
        ({"m/requirements.txt": "-r ../x.txt"}, "inspection.requirements", "not in its folder"),
    ],
)  # fmt: skip
def test_what_cannot_be_one_environment(
    store: Store, more: dict[str, str], code: str, words: str
) -> None:
    files = MODEL | {"m/requirements.txt": "leaf==1", "other/1/model.py": ""} | more
    with pytest.raises(ClocheError) as caught:
        facts_of(store, files)
    assert caught.value.code == code
    assert words in caught.value.what


def test_all_that_is_wrong_is_said_at_once(store: Store) -> None:
    files = MODEL | {"m/requirements.txt": "leaf==1\nleaf==2", "m/.python-version": "2.7"}
    with pytest.raises(ErrorGroup) as caught:
        facts_of(store, files)
    assert len(caught.value.errors) == 2
