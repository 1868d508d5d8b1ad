"""Finished Triton repositories: read as Triton would, and checked before it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloche.artifacts import Severity
from cloche.errors import ErrorGroup
from cloche.store import Store
from finished_repository import ONNX, PYTHON, ensemble, facts_of


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", 2**30)


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
        (
            {
                "m/config.pbtxt": PYTHON + 'default_model_filename: "../../secret"',
                "m/1/model.py": "",
                "secret": "",
            },
            "file",
            "m/1/../../secret",
        ),
        *[
            (
                {"m/config.pbtxt": PYTHON + more, "m/1/model.py": "", "secret": ""},
                "outside",
                "m/config.pbtxt",
            )
            for more in (
                'runtime: "/usr/lib/evil.so"',
                'cc_model_filenames { key: "8.0" value: "../model.py" }',
                'output { name: "z" data_type: TYPE_FP32 dims: [1] label_filename: "../secret" }',
                'model_warmup { inputs { key: "x" value { input_data_file: "../../../secret" } } }',
                'sequence_batching { state { initial_state { data_file: "../../secret" } } }',
                'model_operations { op_library_filename: "/tmp/evil.so" }',
                'model_repository_agents { agents { name: "../evil" } }',
                *(
                    f'parameters {{ key: "{key}" value {{ string_value: "{path}" }} }}'
                    for key, path in (
                        ("words", "$$TRITON_MODEL_DIRECTORY/../../secret"),
                        ("EXECUTION_ENV_PATH", "/home/me/env"),
                        ("EXECUTION_ENV_PATH", "../env"),
                        ("EXECUTION_ENV_PATH", "x/$$TRITON_MODEL_DIRECTORY/env"),
                    )
                ),
            )
        ],
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


def test_a_model_may_be_a_folder_and_have_another_name(store: Store) -> None:
    config = ONNX + 'default_model_filename: "net.onnx"'
    files = {"m/config.pbtxt": config, "m/1/net.onnx/model.onnx": "m", "m/1/net.onnx/w": "w"}
    assert facts_of(store, files).backend == "onnxruntime"
