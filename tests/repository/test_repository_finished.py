"""Finished Triton repositories: kept as they are, and read as Triton would."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloche import repository
from cloche.artifacts import (
    BatchAxis,
    Certainty,
    FileEntry,
    ModelFacts,
    ModelFormat,
    ModelSnapshot,
    Severity,
    TensorSpec,
    digest_of_files,
)
from cloche.errors import ErrorGroup, UsageError
from cloche.repository import finished
from cloche.spec import ServiceSpec
from cloche.store import Store

IO = 'input { name: "x" data_type: TYPE_FP32 dims: [4] }\n'
IO += 'output { name: "y" data_type: TYPE_STRING dims: [-1] }\n'
ONNX = f'backend: "onnxruntime"\nmax_batch_size: 8\n{IO}'
PYTHON = f'backend: "python"\n{IO}'
STEP = 'step {{ model_name: "{}" model_version: {} input_map {{ key: "{}" value: "x" }} '
STEP += 'output_map {{ key: "y" value: "y" }} }}\n'


def ensemble(member: str = "member", version: int = -1, key: str = "x") -> str:
    return (
        f'platform: "ensemble"\n{IO}ensemble_scheduling {{ {STEP.format(member, version, key)} }}'
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", 2**30)


def taken(store: Store, files: dict[str, str]) -> ModelSnapshot:
    entries = tuple(
        FileEntry(path, len(text.encode()), store.add_bytes(text.encode()))
        for path, text in sorted(files.items())
    )
    store.put_tree(entries)
    return ModelSnapshot(
        "./repo", "/repo", "files", None, digest_of_files(entries), ModelFormat.TRITON, entries, "."
    )


def facts_of(store: Store, files: dict[str, str], service: str | None = None) -> ModelFacts:
    model = taken(store, files)
    return finished.facts(model, store.tree_path(model.digest), service=service)


def test_it_is_kept_byte_for_byte(store: Store) -> None:
    files = {
        "net/config.pbtxt": ONNX + "# a comment\n",
        "net/1/model.onnx": "old",
        "net/3/model.onnx": "new",
        "net/labels.txt": "a",
        "README.md": "read me",
    }
    model = taken(store, files)
    facts = facts_of(store, files)
    built = repository.build("anything", model, facts, None, ServiceSpec(model="x"), store)
    assert built.digest == model.digest
    assert built.files == model.files
    assert (built.models, built.backend, built.max_batch_size) == (("net",), "onnxruntime", 8)
    assert built.inputs == (TensorSpec("x", "FP32", (-1, 4)),)
    assert built.outputs == (TensorSpec("y", "BYTES", (-1, -1)),)
    assert facts.batch.present
    assert facts.framework == "triton (net: onnxruntime)"


def test_an_ensemble_answers_for_its_members_and_gets_its_version_folder(store: Store) -> None:
    files = {
        "pipeline/config.pbtxt": ensemble(),
        "member/config.pbtxt": PYTHON,
        "member/1/model.py": "",
    }
    model = taken(store, files)
    facts = facts_of(store, files)
    built = repository.build("service", model, facts, None, ServiceSpec(model="x"), store)
    assert built.models == ("pipeline", "member")
    assert built.backend == facts.backend == "ensemble"
    added = {entry.path: entry.size for entry in set(built.files) - set(model.files)}
    assert added == {"pipeline/1/.keep": 0}


@pytest.mark.parametrize(
    ("service", "main"),
    [("a", "a"), ("b", "b"), ("c-d", "c_d"), ("other", None)],
)
def test_which_model_answers(store: Store, service: str, main: str | None) -> None:
    names = ("a", "b", "c_d")
    files = {f"{name}/config.pbtxt": PYTHON for name in names}
    files |= {f"{name}/1/model.py": "" for name in names}
    model, facts = taken(store, files), facts_of(store, files, service)
    if main is not None:
        built = repository.build(service, model, facts, None, ServiceSpec(model="x"), store)
        assert built.models[0] == main
        assert set(built.models) == set(names)
        return
    assert facts.inputs == ()
    with pytest.raises(UsageError) as caught:
        repository.build(service, model, facts, None, ServiceSpec(model="x"), store)
    assert caught.value.code == "repository.ambiguous"
    assert "--name" in (caught.value.hint or "")


@pytest.mark.parametrize("missing", ["", 'platform: "onnxruntime_onnx"', None])
def test_what_triton_completes_is_taken_from_the_model(store: Store, missing: str | None) -> None:
    known = ModelFacts(
        ModelFormat.ONNX,
        "onnx",
        "onnxruntime",
        (TensorSpec("in", "FP32", (-1, 3)),),
        (TensorSpec("out", "FP32", (-1, 3)),),
        BatchAxis(True, Certainty.CERTAIN, "it is a batch"),
        10,
        None,
    )
    files = {"net/2/model.onnx": "m"} | ({"net/config.pbtxt": missing} if missing else {})
    model = taken(store, files)
    asked: list[Path] = []
    root = store.tree_path(model.digest)
    facts = finished.facts(
        model, root, inspect_onnx=lambda path: asked.append(path.relative_to(root)) or known
    )
    assert asked == [Path("net/2/model.onnx")]
    assert (facts.backend, facts.inputs, facts.outputs) == (
        "onnxruntime",
        known.inputs,
        known.outputs,
    )
    built = repository.build("net", model, facts, None, ServiceSpec(model="x"), store)
    assert (built.inputs, built.max_batch_size) == (known.inputs, 4)
    assert facts_of(store, files).inputs == ()


@pytest.mark.parametrize(
    ("files", "code", "where"),
    [
        ({"m/config.pbtxt": "backend: [", "m/1/model.py": ""}, "config", "m/config.pbtxt:1"),
        ({"m/config.pbtxt": "\nnonsense: 1", "m/1/model.py": ""}, "config", "m/config.pbtxt:2"),
        ({"m/config.pbtxt": PYTHON + 'name: "n"', "m/1/model.py": ""}, "name", "m/config.pbtxt"),
        ({"m/config.pbtxt": PYTHON}, "versions", "m"),
        ({"m/config.pbtxt": PYTHON, "m/1/other.py": ""}, "file", "m/1/model.py"),
        ({"m/config.pbtxt": PYTHON, "m/1/model.py": "", "m/2/x": ""}, "file", "m/2/model.py"),
        (
            {
                "m/config.pbtxt": PYTHON + "version_policy { specific { versions: [3] } }",
                "m/1/model.py": "",
            },
            "versions",
            "m/config.pbtxt",
        ),
        ({"m/config.pbtxt": 'backend: "vllm"', "m/1/model.json": ""}, "backend", "m/config.pbtxt"),
        ({"m/1/model.plan": ""}, "backend", "m/config.pbtxt"),
        ({"m/config.pbtxt": "max_batch_size: 3", "m/1/x": ""}, "backend", "m/config.pbtxt"),
        (
            {"m/config.pbtxt": 'backend: "python" input { name: "x" }', "m/1/model.py": ""},
            "tensor",
            "m/config.pbtxt",
        ),
        (
            {"m/config.pbtxt": PYTHON + "input { dims: [1] }", "m/1/model.py": ""},
            "tensor",
            "m/config.pbtxt",
        ),
        ({"m/config.pbtxt": ensemble("gone")}, "ensemble", "m/config.pbtxt"),
        (
            {
                "m/config.pbtxt": ensemble("member", 7),
                "member/config.pbtxt": PYTHON,
                "member/1/model.py": "",
            },
            "ensemble",
            "m/config.pbtxt",
        ),
        (
            {
                "m/config.pbtxt": ensemble("member", 0),
                "member/config.pbtxt": PYTHON,
                "member/1/model.py": "",
            },
            "ensemble",
            "m/config.pbtxt",
        ),
        (
            {
                "m/config.pbtxt": ensemble(key="wrong"),
                "member/config.pbtxt": PYTHON,
                "member/1/model.py": "",
            },
            "ensemble",
            "m/config.pbtxt",
        ),
        ({"m/config.pbtxt": 'platform: "ensemble"'}, "ensemble", "m/config.pbtxt"),
        (
            {
                "m/config.pbtxt": PYTHON
                + 'parameters { key: "EXECUTION_ENV_PATH" value { string_value: '
                + '"$$TRITON_MODEL_DIRECTORY/env.tar.gz" } }',
                "m/1/model.py": "",
            },
            "environment",
            "m/config.pbtxt",
        ),
        ({"README.md": "", "docs/x": ""}, "empty", None),
    ],
)
def test_what_keeps_it_from_loading(
    store: Store, files: dict[str, str], code: str, where: str | None
) -> None:
    with pytest.raises(ErrorGroup) as caught:
        facts_of(store, files)
    (error,) = caught.value.errors
    assert (error.code, error.where) == (f"repository.{code}", where)
    assert error.hint


def test_everything_wrong_at_once(store: Store) -> None:
    files = {
        "a/config.pbtxt": "x",
        "b/config.pbtxt": 'backend: "tensorrt"',
        "b/1/model.plan": "",
        "c/config.pbtxt": PYTHON,
    }
    with pytest.raises(ErrorGroup) as caught:
        facts_of(store, files)
    assert [error.code.partition(".")[2] for error in caught.value.errors] == [
        "config",
        "backend",
        "versions",
    ]


@pytest.mark.parametrize(
    ("more", "files", "code", "severity"),
    [
        (
            'parameters { key: "path" value { string_value: "/srv/x" } }',
            {},
            "absolute_path",
            Severity.WARNING,
        ),
        ("instance_group { kind: KIND_GPU }", {}, "gpu", Severity.WARNING),
        ("model_transaction_policy { decoupled: true }", {}, "decoupled", Severity.NOTE),
        ("", {"notes/x.txt": ""}, "folder", Severity.WARNING),
    ],
)
def test_what_is_worth_knowing(
    store: Store, more: str, files: dict[str, str], code: str, severity: Severity
) -> None:
    facts = facts_of(store, {"m/config.pbtxt": PYTHON + more, "m/1/model.py": "", **files})
    assert [(found.code, found.severity) for found in facts.findings] == [
        (f"repository.{code}", severity)
    ]


@pytest.mark.parametrize(
    "asked",
    [{"batching": {"max_batch_size": 4}}, {"instances": 2}, {"server": {"warmup": True}}],
)
def test_settings_are_refused_and_not_ignored(store: Store, asked: dict[str, object]) -> None:
    files = {"m/config.pbtxt": PYTHON, "m/1/model.py": ""}
    spec = ServiceSpec.model_validate({"model": "x", **asked})
    with pytest.raises(UsageError) as caught:
        repository.build("m", taken(store, files), facts_of(store, files), None, spec, store)
    assert caught.value.code == "repository.kept"


def test_a_model_may_be_a_folder_and_have_another_name(store: Store) -> None:
    config = ONNX + 'default_model_filename: "net.onnx"'
    files = {"m/config.pbtxt": config, "m/1/net.onnx/model.onnx": "m", "m/1/net.onnx/w": "w"}
    assert facts_of(store, files).backend == "onnxruntime"
