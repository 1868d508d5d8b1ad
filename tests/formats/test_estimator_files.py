"""Files of scikit-learn, XGBoost and LightGBM, told apart by what they hold."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from cloche import composition
from cloche.artifacts import (
    FileEntry,
    ModelFacts,
    ModelFormat,
    ModelOptions,
    ModelSnapshot,
)
from cloche.errors import ClocheError
from cloche.formats import recognize
from cloche.store import Store

SAMPLES = Path(__file__).parents[1] / "pickles" / "samples"
JSON = b'{"learner":{"attributes":{},"objective":{"name":"reg:squarederror"}},"version":[2,1,4]}'
UBJSON = (
    b"{L" + struct.pack(">Q", 7) + b"learner{}L" + struct.pack(">Q", 7) + b"version[#L"
    + struct.pack(">Q", 3) + b"i\x03i\x04i\x01}"
)  # fmt: skip
LIGHTGBM = b"tree\nversion=v4\nnum_class=1\n\nTree=0\n\nend of trees\n\npandas_categorical:null\n"
SCHEMA = {
    "__class__": "Pipeline",
    "__module__": "sklearn.pipeline",
    "content": {"_sklearn_version": {"__class__": "str", "content": '"1.8.0"'}},
    "_skops_version": "0.14.0",
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", 2**20)


def binary() -> bytes:
    names = b"".join(struct.pack("<Q", len(each)) + each for each in (b"reg:linear", b"gbtree"))
    return bytes(136) + names + bytes(64)


def skops(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", json.dumps(SCHEMA, indent=2))


COMPRESSED = {
    "gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zlib": zlib.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
}  # fmt: skip
KINDS = [
    ("model.bin", JSON, ModelFormat.XGBOOST),
    ("model.txt", b'{\n  "learner": {},\n  "version": [1, 7, 6]\n}', ModelFormat.XGBOOST),
    ("model", UBJSON, ModelFormat.XGBOOST),
    ("model.onnx", LIGHTGBM, ModelFormat.LIGHTGBM),
    ("model.lgb", LIGHTGBM.replace(b"\n", b"\r\n"), ModelFormat.LIGHTGBM),
    ("model.json", pickle.dumps({"a": 1}), ModelFormat.SKLEARN),
    ("model.dat", pickle.dumps([1.0], protocol=2), ModelFormat.SKLEARN),
    *((f"m.{name}", compress(pickle.dumps([1])), ModelFormat.SKLEARN)
      for name, compress in COMPRESSED.items()),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "expected"), KINDS, ids=[one[0] for one in KINDS])
def test_a_file_is_known_by_what_it_holds(
    tmp_path: Path, store: Store, name: str, content: bytes, expected: ModelFormat
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    found, _ = recognize(path, tuple(composition.formats().values()), store)
    assert found.name is expected


def test_a_skops_file_is_an_archive_with_a_schema(tmp_path: Path, store: Store) -> None:
    skops(tmp_path / "model.zip")
    found, _ = recognize(tmp_path / "model.zip", tuple(composition.formats().values()), store)
    assert found.name is ModelFormat.SKLEARN


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("old.model", binary(), "binary format"),
        ("old.bin", b"binf" + binary(), "binary format"),
        ("config.json", b'{"learner": "me"}', "JSON file"),
        ("m.gz", gzip.compress(b"text"), "compressed"),
        ("notes.txt", b"tree\nof life\n", "not an ONNX model"),
    ],
    ids=["plain", "marked", "json", "gzip", "text"],
)
def test_a_look_alike_is_refused(
    tmp_path: Path, store: Store, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ClocheError) as refused:
        recognize(tmp_path / name, tuple(composition.formats().values()), store)
    assert says in refused.value.what


def inspected(
    path: Path, form: ModelFormat = ModelFormat.SKLEARN, options: ModelOptions | None = None
) -> ModelFacts:
    entries = (FileEntry(path.name, path.stat().st_size, "sha256:" + "0" * 64),)
    digest = "sha256:" + "0" * 64
    snapshot = ModelSnapshot(
        str(path), str(path), "files", None, digest, form, entries, path.name
    )  # fmt: skip
    known = composition.formats()[form]
    return known.inspect(snapshot, path.parent, options or ModelOptions())


VERSIONS = [
    ("sklearn-1.5/pipeline.joblib", "scikit-learn==1.5"),
    ("sklearn-1.5/pipeline.xz.joblib", "scikit-learn==1.5"),
    ("sklearn-1.9/pipeline-5.pkl", "scikit-learn==1.9"),
    ("sklearn-1.9/XGBRegressor.pkl", "xgboost=="),
    ("sklearn-1.9/LGBMRegressor.pkl", "lightgbm==4.7.0"),
]


@pytest.mark.parametrize(("sample", "line"), VERSIONS)
def test_the_release_that_saved_it_is_read_without_loading(sample: str, line: str) -> None:
    facts = inspected(SAMPLES / sample)
    assert any(each.startswith(line) for each in facts.requirements), facts.requirements
    assert facts.python == "3.12"
    assert [each.code for each in facts.findings] == ["inspection.requirements"]


@pytest.mark.parametrize(("content", "line"), [(JSON, "2.1.4"), (UBJSON, "3.4.1")])
def test_a_booster_records_its_release(tmp_path: Path, content: bytes, line: str) -> None:
    (tmp_path / "model.xgb").write_bytes(content)
    facts = inspected(tmp_path / "model.xgb", ModelFormat.XGBOOST)
    assert facts.requirements == (f"xgboost=={line}",)
    assert facts.loading is not None
    assert facts.loading.kind == "xgboost"


@pytest.mark.parametrize(
    "content",
    [b'{"learner":{"attributes":{},"feature_names":["a', UBJSON[:-1] + b"\x05"],
)
def test_a_booster_that_was_cut_off_is_not_whole(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.json").write_bytes(content)
    with pytest.raises(ClocheError, match="not whole") as refused:
        inspected(tmp_path / "model.json", ModelFormat.XGBOOST)
    assert refused.value.code == "inspection.xgboost.damaged"


def test_a_skops_file_records_both_releases(tmp_path: Path) -> None:
    skops(tmp_path / "model.skops")
    facts = inspected(tmp_path / "model.skops")
    assert facts.requirements == ("scikit-learn==1.8.0", "skops==0.14.0")


def test_the_spec_says_more_than_the_file() -> None:
    options = ModelOptions(requirements=("scikit-learn>=1.5",), python="3.11", method="predict")
    facts = inspected(SAMPLES / "sklearn-1.5/pipeline.joblib", options=options)
    assert (facts.requirements, facts.python) == (("scikit-learn>=1.5",), "3.11")
    assert facts.findings == ()
    assert facts.loading is not None
    assert facts.loading.options == {"method": "predict"}


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (pickle.dumps({"a": 1}), "conversion.content", "no estimator"),
        (
            b"\x80\x02}X\x05\x00\x00\x00modelcsklearn.svm._classes\nSVC\n)Rs.",
            "conversion.content", "a dict, not an estimator",
        ),
        (b"\x80\x02c__main__\nMine\n)R.", "conversion.class", "Mine"),
        (
            (SAMPLES / "sklearn-1.5/pipeline-4.pkl").read_bytes()[:-100],
            "inspection.sklearn.damaged", "not whole",
        ),
    ],
)  # fmt: skip
def test_what_is_no_estimator_is_refused_before_anything_is_installed(
    tmp_path: Path, content: bytes, code: str, says: str
) -> None:
    (tmp_path / "model.pkl").write_bytes(content)
    with pytest.raises(ClocheError) as refused:
        inspected(tmp_path / "model.pkl")
    assert refused.value.code == code
    assert says in refused.value.what
    assert refused.value.hint


def test_a_booster_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.txt").write_bytes(LIGHTGBM[:40])
    with pytest.raises(ClocheError, match="do not end"):
        inspected(tmp_path / "model.txt", ModelFormat.LIGHTGBM)


def test_code_of_another_python_chooses_that_python_or_is_refused(tmp_path: Path) -> None:
    parts = ("pipeline-4.pkl", "function.pkl")
    data = b"".join((SAMPLES / "sklearn-1.5" / name).read_bytes() for name in parts)
    (tmp_path / "model.pkl").write_bytes(data)
    assert inspected(tmp_path / "model.pkl").python == "3.11", "what compiled its function"
    with pytest.raises(ClocheError) as refused:
        inspected(tmp_path / "model.pkl", options=ModelOptions(python="3.12"))
    assert refused.value.code == "inspection.sklearn.python"
    assert 'python: "3.11"' in (refused.value.hint or "")
