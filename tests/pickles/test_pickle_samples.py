"""Files that the libraries themselves wrote, see make_samples.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from evil import SYSTEM, outside

from cloche.pickles import TorchFacts, scan, scan_folder

SAMPLES = Path(__file__).parent / "samples"
BENIGN = [
    path
    for path in sorted(SAMPLES.glob("*/*"))
    if not path.name.startswith(("evil", "function"))
]  # fmt: skip
EVIL = sorted(SAMPLES.glob("*/evil*"))


def name(path: Path) -> str:
    return path.relative_to(SAMPLES).as_posix()


@pytest.mark.parametrize("path", BENIGN, ids=name)
def test_benign_files_have_no_finding(path: Path) -> None:
    found = scan(path)
    assert found.findings == ()
    assert found.names
    assert found.pickles


@pytest.mark.parametrize("path", EVIL, ids=name)
def test_calls_beside_arrays_are_found(path: Path) -> None:
    assert outside(scan(path)) == {SYSTEM}


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*/pipeline*")), ids=name)
def test_the_version_of_scikit_learn_is_read(path: Path) -> None:
    found = scan(path)
    assert found.versions["scikit-learn"] == (
        ("1.5.2",) if "1.5" in path.parent.name else ("1.9.1",)
    )
    assert found.versions["numpy"] == (("1",) if "1.5" in path.parent.name else ("2",))
    assert "sklearn.linear_model._logistic.LogisticRegression" in map(str, found.names)


@pytest.mark.parametrize(("folder", "python"), [("sklearn-1.5", "3.11"), ("sklearn-1.9", "3.12")])
def test_the_python_of_a_function_is_read(folder: str, python: str) -> None:
    found = scan(SAMPLES / folder / "function.pkl")
    assert found.pythons == ((python,),)
    assert found.cloudpickle
    assert "cloudpickle.cloudpickle._make_function" in outside(found)


@pytest.mark.parametrize(
    ("file", "facts"),
    [
        ("state.pt", TorchFacts(("cpu",), ("0.weight", "0.bias"))),
        ("legacy.pt", TorchFacts(("cpu",), ("0.weight", "0.bias"))),
        (
            "parallel.pt",
            TorchFacts(("cpu",), ("module.0.weight", "module.0.bias"), prefix="module."),
        ),
        (
            "checkpoint.pt",
            TorchFacts(
                ("cpu",), ("epoch", "model_state_dict", "optimizer_state_dict"), checkpoint=True
            ),
        ),
        ("module.pt", TorchFacts(("cpu",))),
        ("script.pt", TorchFacts(("cpu",), script=True)),
    ],
)
def test_facts_of_torch(file: str, facts: TorchFacts) -> None:
    assert scan(SAMPLES / "torch-2.15" / file).torch == facts


def test_a_folder_names_each_file_that_holds_a_pickle() -> None:
    scans = scan_folder(SAMPLES / "torch-2.15")
    assert set(scans) == {path.name for path in (SAMPLES / "torch-2.15").iterdir()}
    assert [name.place for name in scans["evil.pt"].outside] == ["evil.pt/evil/data.pkl"]


@pytest.mark.parametrize("path", [*BENIGN, *EVIL], ids=name)
def test_a_truncated_file_is_never_a_pass(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    for length in range(0, len(data), max(1, len(data) // 40)):
        cut = tmp_path / path.name
        cut.write_bytes(data[:length])
        found = scan(cut)
        # The bytes of storages after torch's five old pickles are not read by any unpickler.
        assert found.findings or ("legacy" in path.name and found.pickles == 5), length
