"""The name that a service gets where nobody wrote one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche import spec
from cloche.errors import UsageError
from cloche.spec import ServiceSpec, names


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        # a registered model: never its alias, version or stage
        ("models:/Digits_Clf@champion", "digits-clf"),
        ("models:/digits/3", "digits"),
        ("models:/digits/latest", "digits"),
        ("models:/digits/Latest", "digits"),
        ("models:/digits/Production", "digits"),
        ("MODELS:/digits/Staging", "digits"),
        ("models:/digits", "digits"),
        ("models://profile@host/digits/3", "digits"),
        ("models:/UPPER_case/latest", "upper-case"),
        ("models:/Fraud Model v2.1/1", "fraud-model-v2-1"),
        ("models:/50%off@prod", "50-off"),
        ("models:/v2@prod", "v2"),
        ("models:/what?#now@prod", "what-now"),
        ("models:/a@b@prod", "a-b"),
        ("models:/-dash-/1", "dash"),
        ("models:/catalog.schema.model@prod", "catalog-schema-model"),
        ("models:/m-0a1b2c", "m-0a1b2c"),
        # other scripts are transliterated
        ("models:/信用评分@prod", "xinyongpingfen"),
        ("models:/信用评分/1", "xinyongpingfen"),
        ("models:/信用评分/latest", "xinyongpingfen"),
        ("models:/客户流失@prod", "kehuliushi"),
        ("models:/Модель риска@prod", "model-riska"),
        ("models:/クレジット/2", "kurejitto"),
        ("models:/Straße_größer/1", "strasse-grosser"),
        ("models:/😀@prod", "grinning"),
        # a run: what it logged, never the run
        ("runs:/0a1b2c/classifier", "classifier"),
        ("runs:/0a1b2c/models/Risk", "risk"),
        ("mlflow-artifacts:/1/0a1b/artifacts/digits", "digits"),
        ("mlflow-artifacts://host:5000/1/models/m-0a1b/artifacts", "m-0a1b"),
        # a file or folder: never its ending, or a folder per version
        ("./my model.onnx", "my-model"),
        ("./信用.onnx", "xinyong"),
        ("../Übung.ONNX", "ubung"),
        ("model#1.onnx", "model-1"),
        ("what?.onnx", "what"),
        ("credit@prod.onnx", "credit-prod"),
        ("/srv/models/densenet_onnx/", "densenet-onnx"),
        ("forest.pkl", "forest"),
        ("net.pt.gz", "net"),
        ("digits/3", "digits"),
        ("digits/v3/", "digits"),
        ("digits/latest/model.onnx", "model"),
        ("digits/3.onnx", "digits"),
        ("./digits.v2", "digits-v2"),
        ("file:///srv/models/My%20Model.onnx", "my-model"),
        ("file://localhost/srv/digits", "digits"),
        ("s3://bucket/models/digits.onnx?versionId=7#x", "digits"),
        ("https://user@host/models/digits.onnx?sig=a%2Fb", "digits"),
        ("hf://org/name@rev", "name"),
        ("hf://org/name@refs/pr/1", "name"),
        ("hf://Gpt2", "gpt2"),
        ("hf://gpt2@main/onnx/model.onnx", "gpt2"),
        ("hf://org/all-MiniLM-L6-v2", "all-minilm-l6-v2"),
        ("hf://org/Name/onnx/model.onnx", "name"),
        ("a" * 80, "a" * 63),
    ],
)
def test_a_name_comes_from_the_model(reference: str, name: str) -> None:
    found = spec.from_reference(reference)
    assert (found.name, found.name_is_derived) == (name, True)
    assert ServiceSpec(model=reference).service_name == name


@pytest.mark.parametrize(
    "reference",
    ["models:/——@prod", "models:/@prod", "./——.onnx", ".onnx", "/", "runs:/0a1b2c", "s3://bucket"],
)
def test_where_no_name_is_left_one_is_asked_for(reference: str) -> None:
    with pytest.raises(UsageError) as caught:
        spec.from_reference(reference, directory=Path("/"))
    assert (caught.value.code, caught.value.where) == ("spec.name", "model")
    assert "--name" in (caught.value.hint or "")
    named = spec.from_reference(reference, "mine")
    assert (named.name, named.name_is_derived) == ("mine", False)


@given(st.text(st.characters(exclude_characters="/:@"), min_size=1))
def test_the_alias_and_the_version_never_matter(registered: str) -> None:
    forms = ("@prod", "@客户", "/1", "/latest", "/Production", "/Staging")
    found = {names.from_reference(f"models:/{registered}{form}") for form in forms}
    assert len(found) == 1
    assert all(name is None or names.is_safe(name) for name in found)


def test_a_name_for_the_folder_one_is_in(tmp_path: Path) -> None:
    folder = tmp_path / "Churn Model"
    (folder / "3").mkdir(parents=True)
    (folder / "cloche.yaml").write_text("model: .\n")
    assert spec.load(folder / "cloche.yaml").name == "churn-model"
    assert spec.load(folder / "cloche.yaml", "other").name == "other"
    for reference, start in ((".", folder), ("./", folder), ("..", folder / "3"), ("3", folder)):
        assert spec.from_reference(reference, directory=start).name == "churn-model"
    with pytest.raises(UsageError) as caught:
        spec.load(folder / "cloche.yaml", "Not A Name")
    assert caught.value.code == "spec.value"
    with pytest.raises(UsageError) as caught:
        spec.from_reference("model.onnx", "Bad_Name")
    assert (caught.value.code, caught.value.where) == ("spec.value", "name")


def test_who_wrote_the_name_is_known(tmp_path: Path) -> None:
    path = tmp_path / "cloche.yaml"
    path.write_text("model: models:/digits@champion\n")
    assert spec.load(path).name_is_derived
    assert not spec.load(path, "digits").name_is_derived
    path.write_text("model: models:/digits@champion\nname: digits\n")
    assert not spec.load(path).name_is_derived
