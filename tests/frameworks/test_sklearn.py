"""Estimators as people save them, converted and judged in their own environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cloche.artifacts import Deployment, Judge, Severity
from cloche.verification import bodies
from conftest import Prepare, described, notes, require_refused
from fixtures.local import LocalHome
from fixtures.saved_models import Saved
from fixtures.thorough import thorough

pytestmark = pytest.mark.timeout(900)

TABLE = "age FP64 ?,1; income (EUR) FP64 ?,1; city BYTES ?,1; rooms INT64 ?,1"
TEXT_LABELS = "label BYTES ?; probabilities FP64 ?,2"
IRIS = "label INT64 ?; probabilities FP32 ?,3"
CONVERTED = [
    *((f"{name}.joblib", TABLE, TEXT_LABELS) for name in (
        "forest", "histogram", "lightgbm"
    )),
    *((name, TABLE, TEXT_LABELS) for name in ("forest.pkl", "forest.skops", "xz.model")),
    *((f"early.{suffix}", "input FP32 ?,4", IRIS) for suffix in ("json", "ubj")),
    ("light.txt", "input FP32 ?,4", IRIS.replace("FP32", "FP64")),
    ("two.joblib", "input FP32 ?,4", "output FP64 ?,2"),
    ("ascii.joblib", "input BYTES ?", TEXT_LABELS),
    ("RobustScaler.joblib", "input FP32 ?,4", IRIS.replace("FP32", "FP64")),
]  # fmt: skip
MORE_CONVERTED = [
    *((f"{name}.joblib", TABLE, TEXT_LABELS) for name in ("logistic", "boosting", "strict")),
    ("gzip.model", TABLE, TEXT_LABELS),
    ("early.pkl", "input FP32 ?,4", IRIS),
    *((f"{name}.joblib", "input FP32 ?,4", IRIS.replace("FP32", "FP64")) for name in (
        "linear", "search", "vote", "StandardScaler", "MaxAbsScaler", "MinMaxScaler"
    )),
]  # fmt: skip


def interface(deployment: Deployment) -> tuple[str, str]:
    """Return what clients see."""
    main = deployment.repository.main
    return described(main.inputs), described(main.outputs)


@pytest.mark.parametrize("conversion", ["required", "off"])
def test_an_empty_text_is_missing_where_the_model_fills_that_in(
    sklearn: Saved, prepare: Prepare, local_home: LocalHome, tmp_path: Path, conversion: str
) -> None:
    saved = dict(np.load(sklearn.folder / "passengers.npz"))
    assert "" in saved["port"][1:16]
    assert "" in saved["deck"][:16], "a category like others"
    example = tmp_path / "rows.npz"
    np.savez(example, **{name: saved[name][:, None] for name in ("age", "port", "deck")})
    deployment = prepare(sklearn.spec("passengers.joblib", conversion=conversion), example)
    assert "fills in: port." in notes(deployment)["conversion.note"]
    assert deployment.golden is not None
    assert deployment.golden.expected is not None
    answer = bodies.read(deployment.golden.expected, local_home.store)["probabilities"]
    assert np.abs(answer - saved["answer"][: len(answer)]).max() <= 1e-6


@pytest.mark.parametrize(("model", "inputs", "outputs"), [*CONVERTED, *thorough(MORE_CONVERTED)])
def test_an_estimator_is_converted_and_its_parity_is_known(
    sklearn: Saved, prepare: Prepare, model: str, inputs: str, outputs: str
) -> None:
    deployment = prepare(sklearn.spec(model))
    member = deployment.main
    assert described(member.facts.inputs) == inputs
    assert described(member.facts.outputs) == outputs
    assert member.conversion is not None, notes(deployment)
    for parity in member.conversion.parity:
        assert parity.max_absolute <= parity.tolerance, parity
        assert parity.rows > 100
        assert parity.labels is None or parity.labels[0] == parity.labels[1]
    assert deployment.golden is not None
    assert deployment.golden.judge is Judge.REFERENCE
    assert deployment.repository.main.max_batch_size > 1, "rows are independent"


AS_IT_IS = [
    ("sparse.joblib", "label is another", "label INT64 ?; probabilities FP32 ?,2"),
    ("accents.joblib", "off", TEXT_LABELS),
    ("logarithm.joblib", "FunctionTransformer", "label INT64 ?; probabilities FP64 ?,3"),
    ("categories.joblib", "categories", TEXT_LABELS),
    ("pandas.joblib", "HistGradientBoosting", TEXT_LABELS),
]


@pytest.mark.parametrize(("model", "why", "outputs"), AS_IT_IS)
def test_what_would_answer_otherwise_is_served_as_it_is(
    sklearn: Saved, prepare: Prepare, model: str, why: str, outputs: str
) -> None:
    deployment = prepare(sklearn.spec(model))
    assert deployment.main.conversion is None
    assert deployment.main.facts.backend == "python"
    assert why in notes(deployment)["conversion.none"]
    assert described(deployment.main.facts.outputs) == outputs
    assert deployment.golden is not None
    assert deployment.golden.judge is Judge.REFERENCE


def test_a_tolerance_decides_whether_a_conversion_is_used(sklearn: Saved, prepare: Prepare) -> None:
    loose = prepare(sklearn.spec("light.txt", tolerance=1e-3))
    tight = prepare(sklearn.spec("light.txt", tolerance=1e-12))
    assert loose.main.conversion is not None
    probabilities = loose.main.conversion.parity[1]
    assert probabilities.tolerance == pytest.approx(1e-3 * probabilities.scale)
    assert tight.main.conversion is None
    assert "allowed" in notes(tight)["conversion.none"]


@pytest.mark.parametrize("model", ["forest.joblib", "early.ubj", "ascii.joblib"])
def test_the_interface_is_the_same_unconverted(
    sklearn: Saved, prepare: Prepare, model: str
) -> None:
    converted, plain = (prepare(sklearn.spec(model, conversion=way)) for way in ("auto", "off"))
    assert converted.main.conversion is not None
    assert plain.main.conversion is None
    assert interface(converted) == interface(plain)
    severities = {
        finding.severity
        for finding in plain.main.facts.findings
        if finding.code == "conversion.none"
    }
    assert severities == {Severity.NOTE}, "it was asked for"


@pytest.mark.parametrize(
    "model", ["people", "booster", "light", *thorough([("scores",), ("tensor",)])]
)
def test_a_flavor_of_mlflow_is_converted_under_its_signature(
    sklearn: Saved, prepare: Prepare, model: str
) -> None:
    deployment = prepare({"model": str(sklearn.folder / model)})
    facts, metadata = deployment.main.facts, deployment.main.snapshot.metadata
    assert deployment.main.conversion is not None, notes(deployment)
    assert metadata.signature is not None
    assert described(facts.inputs) == described(metadata.signature.inputs)
    assert described(facts.outputs) == described(metadata.signature.outputs)
    assert deployment.golden is not None
    assert deployment.golden.judge is Judge.REFERENCE, "of MLflow's own doors"
    assert deployment.repository.main.lock_digest is None
    assert deployment.repository.main.max_batch_size > 1


def test_a_flavor_of_mlflow_without_a_signature_is_told_by_its_estimator(
    sklearn: Saved, prepare: Prepare
) -> None:
    content: dict[str, object] = {"model": str(sklearn.folder / "unsigned")}
    deployment = prepare(content)
    facts = deployment.main.facts
    assert not facts.inputs_declared
    assert described(facts.inputs) == "input FP32 ?,4"
    assert described(facts.outputs) == "label INT64 ?"
    assert deployment.golden is not None
    assert deployment.golden.judge is Judge.REFERENCE
    facts = prepare({**content, "inputs": {"input": "FP64 [batch, 4]"}}).main.facts
    assert facts.inputs_declared
    assert described(facts.inputs) == "input FP64 ?,4"
    assert described(facts.outputs) == "output INT64 ?"


def test_a_flavor_of_mlflow_looks_the_same_unconverted(sklearn: Saved, prepare: Prepare) -> None:
    reference = {"model": str(sklearn.folder / "people")}
    converted, plain = (prepare({**reference, "conversion": way}) for way in ("auto", "off"))
    assert plain.main.facts.backend == "python"
    assert interface(converted) == interface(plain)


def test_a_table_that_may_miss_text_stays_with_the_python_function(
    sklearn: Saved, prepare: Prepare
) -> None:
    deployment = prepare({"model": str(sklearn.folder / "gaps")})
    assert deployment.main.conversion is None
    assert "city.missing BOOL ?,1" in described(deployment.main.facts.inputs)
    assert "city may miss values" in notes(deployment)["conversion.none"]


@pytest.mark.parametrize(
    ("method", "outputs"),
    [
        ("predict", "label BYTES ?"),
        ("predict_proba", "probabilities FP64 ?,2"),
        ("decision_function", "output FP64 ?"),
    ],
)
def test_a_method_is_chosen(sklearn: Saved, prepare: Prepare, method: str, outputs: str) -> None:
    deployment = prepare(sklearn.spec("logistic.joblib", method=method))
    assert described(deployment.main.facts.outputs) == outputs


def test_an_example_of_a_table_may_hold_text(
    sklearn: Saved, prepare: Prepare, tmp_path: Path
) -> None:
    example = tmp_path / "rows.json"
    table = {"city": ["Rome", "Oslo"], "age": [40, 50], "rooms": [2, 3], "income (EUR)": [5e4, 6e4]}
    example.write_text(json.dumps(table))
    deployment = prepare(sklearn.spec("logistic.joblib"), example)
    assert described(deployment.main.facts.inputs) == TABLE, "as the steps tell"


def test_the_type_of_an_example_is_that_of_a_matrix(
    sklearn: Saved, prepare: Prepare, tmp_path: Path
) -> None:
    example = tmp_path / "rows.npy"
    np.save(example, np.array([[5.1, 3.5, 1.4, 0.2], [6.0, 3.0, 4.0, 1.0]]))
    deployment = prepare(sklearn.spec("light.txt"), example)
    assert described(deployment.main.facts.inputs) == "input FP64 ?,4"


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("dictionary.joblib", {}, "conversion.content", "no estimator"),
    ("held.joblib", {}, "conversion.content", "dict"),
    ("rows.joblib", {}, "conversion.content", "only the rows that it was fitted on"),
    ("unfitted.joblib", {}, "conversion.content", "was not fitted"),
    ("steps.joblib", {}, "conversion.content", "StandardScaler, LogisticRegression"),
    ("cut.pkl", {}, "inspection.sklearn.damaged", "not whole"),
    ("cut.txt", {}, "inspection.lightgbm.damaged", "not whole"),
    ("old.model", {}, "source.files.unsupported", "binary format"),
    ("main.joblib", {}, "conversion.class", "Mine"),
    ("two.joblib", {"method": "predict_proba"}, "conversion.method", "predict_proba"),
    ("sparse.joblib", {"conversion": "required"}, "conversion.required", "label"),
    (
        "forest.pkl", {"requirements": ["scikit-learn==0.22.2"]}, "environment.unresolvable",
        "scikit-learn",
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[0]}-{case[2]}")
def test_a_file_that_cannot_be_served_is_refused_with_what_to_do(
    sklearn: Saved, prepare: Prepare, case: tuple[str, dict[str, Any], str, str]
) -> None:
    model, more, code, words = case
    require_refused(prepare, sklearn.spec(model, **more), code, words)


def test_versions_come_from_the_file(sklearn: Saved, prepare: Prepare) -> None:
    content = sklearn.spec("forest.joblib")
    del content["requirements"]
    deployment = prepare(content)
    assert "scikit-learn==1.9.1" in deployment.main.facts.requirements
    assert "records the release" in notes(deployment)["inspection.requirements"]
