from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche import composition, sources
from cloche.errors import UsageError
from cloche.sources.files import FileReference
from cloche.sources.huggingface.reference import HubReference
from cloche.sources.mlflow.reference import (
    LoggedModelReference,
    RegisteredModelReference,
    RunReference,
)

HERE = Path("/here")
SOURCES = composition.sources()
MODEL = "m-" + "0a" * 16


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model.onnx", FileReference("model.onnx", HERE / "model.onnx")),
        ("./a b/é.onnx", FileReference("./a b/é.onnx", HERE / "a b/é.onnx")),
        ("/abs/model", FileReference("/abs/model", Path("/abs/model"))),
        ("file:///abs/a%20b", FileReference("file:///abs/a%20b", Path("/abs/a b"))),
        ("models", FileReference("models", HERE / "models")),
        ("digits@champion", FileReference("digits@champion", HERE / "digits@champion")),
        (
            "models:/digits@champion",
            RegisteredModelReference("models:/digits@champion", "digits", alias="champion"),
        ),
        ("models:/a b/12", RegisteredModelReference("models:/a b/12", "a b", version="12")),
        ("models:/digits/latest", RegisteredModelReference("models:/digits/latest", "digits")),
        ("models:/a@b@c", RegisteredModelReference("models:/a@b@c", "a@b", alias="c")),
        (f"models:/{MODEL}", LoggedModelReference(f"models:/{MODEL}", MODEL)),
        ("runs:/ab12/model", RunReference("runs:/ab12/model", "ab12", "model")),
        ("runs:/ab12/a/b/", RunReference("runs:/ab12/a/b/", "ab12", "a/b")),
        ("hf://org/name", HubReference("hf://org/name", "org/name")),
        ("HF://gpt2", HubReference("HF://gpt2", "gpt2")),
        ("hf://datasets", HubReference("hf://datasets", "datasets")),
        ("hf://o/n@v1.0/", HubReference("hf://o/n@v1.0/", "o/n", "v1.0")),
        ("hf://o/n@refs/pr/1", HubReference("hf://o/n@refs/pr/1", "o/n", "refs/pr/1")),
        ("hf://o/n@refs/pr/1/a", HubReference("hf://o/n@refs/pr/1/a", "o/n", "refs/pr/1", "a")),
        ("hf://o/n@a%2Fb/c", HubReference("hf://o/n@a%2Fb/c", "o/n", "a/b", "c")),
        ("hf://o/n/a/b.onnx", HubReference("hf://o/n/a/b.onnx", "o/n", "main", "a/b.onnx")),
        ("hf://n@v1/a", HubReference("hf://n@v1/a", "n", "v1", "a")),
    ],
)
def test_forms(text: str, expected: object) -> None:
    assert sources.parse(text, SOURCES, directory=HERE) == expected


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("", "empty", "models:/NAME@ALIAS"),
        ("a\0b", "empty", ""),
        ("s3://bucket/model", "scheme", "models:/NAME@ALIAS"),
        ("huggingface://org/name", "scheme", "hf://org/name"),
        ("hf:/org/name", "slashes", "hf://ORG/NAME"),
        ("hf://", "repository", "hf://ORG/NAME"),
        ("hf://-org/name", "repository", ""),
        ("hf://org/na..me", "repository", ""),
        ("hf://org/na me", "repository", ""),
        ("hf://datasets/org/name", "kind", "hf://ORG/NAME"),
        ("hf://spaces/org/name@main", "kind", ""),
        ("hf://org/name@", "revision", "hf://ORG/NAME@REVISION"),
        ("hf://org/name@a b", "revision", ""),
        ("hf://org/name@a%2F..%2Fb", "revision", ""),
        ("hf://org/name@v1/../x", "path", ""),
        ("hf://org/name@v1//x", "path", ""),
        ("https://example.org/model.onnx", "scheme", ""),
        ("https://huggingface.co/org/name", "scheme", "hf://org/name?"),
        ("https://hf.co/org/name/tree/v1/", "scheme", "hf://org/name@v1?"),
        (
            "https://huggingface.co/org/name/blob/main/onnx/m.onnx?download=true",
            "scheme",
            "hf://org/name@main/onnx/m.onnx?",
        ),
        ("hf://org/name/blob/main/m.onnx", "page", "hf://org/name@main/m.onnx?"),
        ("hf://org/name/resolve/refs/pr/1/m.onnx", "page", "hf://org/name@refs/pr/1/m.onnx?"),
        ("http://127.0.0.1:5000/#/models/my%20net/versions/3", "scheme", "models:/my net/3?"),
        ("model:/digits@champion", "scheme", "models:/digits@champion"),
        ("models:/digits", "version", "models:/digits@ALIAS"),
        ("models:/", "version", "models:/NAME@ALIAS"),
        ("models:/../3", "version", ""),
        ("models:/digits/champion", "version", "models:/digits@champion"),
        ("models:/digits/Production", "stage", "models:/digits@production"),
        ("models:/digits/3/x", "version", ""),
        ("models:/a/b@c", "alias", ""),
        ("models:/..@c", "alias", ""),
        ("models://profile@databricks/digits/3", "authority", "one slash"),
        ("runs:/ab12", "run", "runs:/RUN/PATH"),
        ("runs:/ab12/../x", "run", ""),
        ("runs:/../model", "run", ""),
        ("file://server/share/model", "host", "file:///PATH"),
    ],
)
def test_what_is_refused_says_how_to_write_it(text: str, code: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        sources.parse(text, SOURCES, directory=HERE)
    assert raised.value.code == f"source.reference.{code}"
    assert hint in (raised.value.hint or "")


@given(st.text(max_size=40) | st.text(alphabet="hmodels:runfile/@.0aA%~ ", max_size=40))
def test_any_text_is_a_reference_or_a_usage_error(text: str) -> None:
    try:
        reference = sources.parse(text, SOURCES, directory=HERE)
    except UsageError:
        return
    if isinstance(reference, FileReference):
        assert reference.path.is_absolute()
    elif isinstance(reference, RegisteredModelReference):
        assert "/" not in reference.name
