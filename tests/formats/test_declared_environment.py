"""What an MLflow folder declares in several files: all of it, once, without contradiction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cloche.errors import ClocheError, ErrorGroup
from cloche.formats.agreement import Line, disagreements, merged
from cloche.formats.mlflow import declared

if TYPE_CHECKING:
    from pathlib import Path

PYTHON_ENV = (
    "python: 3.11.7\nbuild_dependencies:\n- pip==24\ndependencies:\n- -r requirements.txt\n"
)
WRITTEN = {
    # What MLflow 3 writes for a model with no conda_env of its own.
    "requirements.txt": "mlflow==3.17.2\nscikit-learn==1.9.1\nnumpy<3,>=1.26",
    "conda.yaml": "channels:\n- conda-forge\ndependencies:\n- python=3.11.7\n- pip<=24.0\n"
    "- pip:\n  - mlflow==3.17.2\n  - scikit-learn==1.9.1\n  - numpy<3,>=1.26\nname: mlflow-env\n",
    "python_env.yaml": PYTHON_ENV,
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def conda(*packages: str, pip: tuple[str, ...] = ()) -> str:
    lines = [f"- {package}\n" for package in packages]
    lines += ["- pip:\n", *(f"  - {line}\n" for line in pip)] if pip else []
    return "dependencies:\n" + "".join(lines)


def test_what_mlflow_writes_is_taken_once_and_in_silence(tmp_path: Path) -> None:
    lines, findings = declared.requirements(write(tmp_path, WRITTEN), (), "3.11")
    assert lines == ("mlflow==3.17.2", "scikit-learn==1.9.1", "numpy<3,>=1.26")
    assert findings == []
    assert declared.python_of(tmp_path) == "3.11.7"


def test_conda_packages_keep_their_pins_and_libraries_are_named(tmp_path: Path) -> None:
    packages = ("python=3.11", "pip", "lightgbm=4.6.0", "openssl=3.2", "cudatoolkit=11.8")
    files = {
        "requirements.txt": "mlflow==3.17.2\n",
        "conda.yaml": conda(*packages, pip=("mlflow==3.17.2",)),
    }
    lines, findings = declared.requirements(write(tmp_path, files), (), "3.11")
    assert lines == ("mlflow==3.17.2", "lightgbm==4.6.0.*  # conda.yaml: lightgbm=4.6.0")
    assert [(finding.code, finding.severity) for finding in findings] == [
        ("inspection.mlflow.conda", "warning")
    ]
    assert "openssl=3.2, cudatoolkit=11.8" in findings[0].what
    assert "pip" not in findings[0].what


def test_packages_that_only_one_file_lists_are_all_needed(tmp_path: Path) -> None:
    files = {
        "requirements.txt": "mlflow\n",
        "conda.yaml": conda(pip=("mlflow", "pandas")),
        "python_env.yaml": PYTHON_ENV + "- polars==1.2\n",
    }
    lines, _ = declared.requirements(write(tmp_path, files), (), "3.11")
    assert lines == ("mlflow", "pandas", "polars==1.2")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"requirements.txt": "scikit-learn==1.9.1", "conda.yaml": conda("scikit-learn=1.7.2")},
         "scikit-learn==1.9.1 (requirements.txt), but scikit-learn=1.7.2 (conda.yaml)"),
        ({"requirements.txt": "Scikit_Learn==1.9.1",
          "conda.yaml": conda(pip=("scikit-learn==1.7.2",))},
         "Scikit_Learn==1.9.1 (requirements.txt), but scikit-learn==1.7.2 (conda.yaml)"),
        ({"requirements.txt": "torch==2.1", "conda.yaml": conda("pytorch=2.5")},
         "torch==2.1 (requirements.txt), but pytorch=2.5 (conda.yaml)"),
        ({"python_env.yaml": "python: 3.11.7", "conda.yaml": conda("python=3.10")},
         "disagree on Python: 3.11.7 (python_env.yaml), but python=3.10 (conda.yaml)"),
        ({"requirements.txt": "a==1", "python_env.yaml": "python: 3.11\ndependencies: [a==2]"},
         "a==1 (requirements.txt), but a==2 (python_env.yaml)"),
    ],
)  # fmt: skip
def test_files_that_disagree_stop_the_deploy(
    tmp_path: Path, files: dict[str, str], says: str
) -> None:
    with pytest.raises(ClocheError) as caught:
        declared.requirements(write(tmp_path, files), (), "3.11")
    assert caught.value.code == "inspection.requirements.disagree"
    assert says in caught.value.what


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    files = {
        "requirements.txt": "a==1\nb==1\n",
        "conda.yaml": conda("python=3.9", "numpy=1.2|1.3", "a=2", "b=2"),
        "python_env.yaml": PYTHON_ENV,
    }
    with pytest.raises(ErrorGroup) as caught:
        declared.requirements(write(tmp_path, files), (), "3.11")
    assert [error.code.rpartition(".")[2] for error in caught.value.errors] == [
        "conda", "disagree", "disagree", "disagree",
    ]  # fmt: skip
    assert "alternatives" in caught.value.errors[0].what


@pytest.mark.parametrize(
    ("python_env", "conda_python"),
    [("3.11.7", "python=3.11"), ("3.11", "python=3.11.7"), ("3.11.7", "python=3.11.9"),
     ("3.11.7", "python>=3.9,<3.12"), ("3.11.7", "python"), ("unknown", "python=3.10")],
)  # fmt: skip
def test_pythons_that_are_served_by_one_server_agree(
    tmp_path: Path, python_env: str, conda_python: str
) -> None:
    files = {"python_env.yaml": f"python: {python_env}", "conda.yaml": conda(conda_python)}
    assert declared.requirements(write(tmp_path, files), ("a",), "3.11")[0] == ("a",)


def test_passwords_and_options_without_effect_are_told_and_left_out(tmp_path: Path) -> None:
    text = (
        "--extra-index-url https://me:secret@index.example/simple\n"
        "--index-url https://${USER}:${TOKEN}@index.example/other\n"
        "--trusted-host index.example\n--require-hashes\n--pre\nown @ https://t0ken@x.example/o.whl\n"
    )
    lines, findings = declared.requirements(write(tmp_path, {"requirements.txt": text}), (), "3.11")
    assert lines == (
        "--extra-index-url https://index.example/simple",
        "--index-url https://${USER}:${TOKEN}@index.example/other",
        "--pre",
        "own @ https://x.example/o.whl",
    )
    codes = [finding.code.rpartition(".")[2] for finding in findings]
    assert codes == ["password", "option", "password"]
    assert not any("secret" in str(finding) or "t0ken" in str(finding) for finding in findings)


# ── which requirements agree ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ("a==1", "A == 1", ("a==1",)),
        ("a==1", "a>=0.5", ("a==1",)),
        ("a>=0.5", "a==1", ("a>=0.5", "a==1")),
        ("a>=1", "a", ("a>=1",)),
        ("a", "a>=1", ("a", "a>=1")),
        ("a<2,>=1", "a>=1,<2", ("a<2,>=1",)),
        ("a==1", "a==1.0", ("a==1",)),
        ("a==1.7.*", "a==1.7.2", ("a==1.7.*", "a==1.7.2")),
        ("a==1.7.*", "a==1.7", ("a==1.7.*", "a==1.7")),
        ("a==1.7.*", "a>=1.7.2", ("a==1.7.*", "a>=1.7.2")),
        ("a==2.1.0+cpu", "a==2.1.0", ("a==2.1.0+cpu",)),
        ("a[x]==1", "a==1", ("a[x]==1",)),
        ("a==1", "a[x]==1", ("a==1", "a[x]==1")),
        ("a==1; python_version < '3.9'", "a==2", ("a==2",)),
        ("a==1; sys_platform == 'win32'", "a==2; sys_platform != 'win32'",
         ("a==2; sys_platform != 'win32'",)),
        ("a==1 --hash=sha256:00", "a==1", ("a==1 --hash=sha256:00",)),
        ("a @ https://x/a.whl", "a==1", ("a @ https://x/a.whl",)),
        ("--pre", "--pre", ("--pre",)),
        ("-c a<2", "a==3", ("-c a<2", "a==3")),
    ],
)  # fmt: skip
def test_lines_that_agree_are_merged(first: str, second: str, kept: tuple[str, ...]) -> None:
    lines = [Line(first, "one"), Line(second, "two")]
    assert list(disagreements(lines, "3.11")) == []
    assert merged(lines, "3.11") == kept


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a==1", "a==2"),
        ("a==1", "a>1"),
        ("a!=1", "a==1.0"),
        ("a==1.7.*", "a==1.8.*"),
        ("a==1.7.*", "a==1.8"),
        ("a===1", "a==2"),
        ("a @ https://x/a.whl", "a @ https://x/b.whl"),
    ],
)
def test_lines_that_pin_one_package_twice_disagree(first: str, second: str) -> None:
    for lines in ([first, second], [second, first]):
        errors = list(disagreements([Line(line, "f") for line in lines], "3.11"))
        assert [error.code for error in errors] == ["inspection.requirements.disagree"]
