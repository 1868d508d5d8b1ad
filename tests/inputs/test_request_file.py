"""The files that hold a request, and the example requests that it prints."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cloche.artifacts import ModelRepository, RepositoryMember, TensorSpec
from cloche.cli import request_example
from cloche.errors import UsageError
from cloche.inputs import request_file
from cloche.inputs.declared import Declared, fit

MATRIX = Declared((TensorSpec("x", "FP32", (-1, 2)),), max_batch_size=8)
COLUMNS = Declared(
    (TensorSpec("age", "INT64", (-1, 1)), TensorSpec("city", "BYTES", (-1, 1))), max_batch_size=8
)
FLAGS = Declared((TensorSpec("on", "BOOL", (-1, 1)), TensorSpec("at", "FP64", (-1, 1))))


def write(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(path)


def array_bytes(save, *arrays, **named):
    buffer = io.BytesIO()
    save(buffer, *arrays, **named)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        '{"x": [[1, 2], [3, 4]]}',
        "[[1, 2], [3, 4]]",
        '{"inputs": {"x": [[1, 2], [3, 4]]}}',
        '{"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}]}',
        '{"inputs": [[1, 2], [3, 4]], "params": {"power": 2}}',
        '{"x": [[1, 2], [3, 4]], "outputs": {"y": [1, 2]}}',
        "1,2\n3,4\n",
        "first,second\n1,2\n3,4\n",
        array_bytes(np.save, np.array([[1.0, 2.0], [3.0, 4.0]])),
        array_bytes(np.savez, x=np.array([[1, 2], [3, 4]])),
    ],
)
def test_every_format_gives_the_same_tensor(tmp_path, text):
    source = write(tmp_path, "request", text)
    assert fit(MATRIX, request_file.read(source, MATRIX))["x"].array.tolist() == [[1, 2], [3, 4]]


def test_stdin(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"[[1, 2]]")))
    assert request_file.read("-", MATRIX) == [[1, 2]]


def test_csv_columns_are_taken_by_name_in_any_order(tmp_path):
    source = write(tmp_path, "table.csv", "city,age\nBern,41\n\nThun,7\n")
    fitted = fit(COLUMNS, request_file.read(source, COLUMNS))
    assert fitted["age"].array.tolist() == [[41], [7]]
    assert fitted["city"].array.tolist() == [["Bern"], ["Thun"]]


def test_csv_flags_and_gaps(tmp_path):
    source = write(tmp_path, "table.csv", "on,at\nTrue,1.5\n0,\n")
    fitted = fit(FLAGS, request_file.read(source, FLAGS))
    assert fitted["on"].array.tolist() == [[True], [False]]
    assert np.isnan(fitted["at"].array[1, 0])


def test_a_csv_that_begins_like_a_bitmap_is_a_csv(tmp_path):
    source = write(tmp_path, "table.csv", "BMI,weight\n1,2\n")
    assert request_file.read(source, MATRIX) == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        ('{"x": [[1, 2}', "infer.json", "line 1"),
        ("[" * 100_000, "infer.json", "not JSON"),
        ('{"inputs": [{"name": "x"}]}', "infer.json", "a name, a shape"),
        ('{"inputs": [{"name": "x", "shape": [3], "datatype": "FP32", "data": [1]}]}',
         "infer.json", "does not fill its shape"),
        ("1,2\n3\n", "infer.csv", "Line 2 has 1 cells"),
        ("1,2\n3,x\n", "infer.csv", "'x' is not FP32"),
        ("", "infer.csv", "empty"),
        (b"\xff\xfe\x00binary\x00", "infer.format", "neither JSON"),
        (b"\x93NUMPY\x01\x00", "infer.numpy", "cannot be read"),
        (array_bytes(np.save, np.array([object()])), "infer.numpy", "allow_pickle"),
        (b"PK\x03\x04 no archive", "infer.numpy", "cannot be read"),
        (b"\x89PNG no image", "infer.image", "no input for an image"),
    ],
)  # fmt: skip
def test_files_that_are_not_what_they_look_like(tmp_path, data, code, words):
    source = write(tmp_path, "request", data)
    with pytest.raises(UsageError, match=words) as caught:
        request_file.read(source, MATRIX)
    assert caught.value.code == code
    assert source in str(caught.value.where) or code == "infer.image"


def test_a_file_that_is_not_there(tmp_path):
    for source in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(UsageError) as caught:
            request_file.read(str(source), MATRIX)
        assert caught.value.code == "infer.file"


def image(tmp_path, mode="RGB", size=(8, 6), color=(255, 0, 51)):
    path = tmp_path / "image.png"
    Image.new(mode, size, color).save(path)
    return str(path)


@pytest.mark.parametrize(
    ("datatype", "shape", "fitted", "red"),
    [
        ("FP32", (-1, 3, 4, 5), (1, 3, 4, 5), 1.0),
        ("FP32", (-1, 4, 5, 3), (1, 4, 5, 3), 1.0),
        ("UINT8", (-1, 3, -1, -1), (1, 3, 6, 8), 255),
        ("FP32", (1, 1, 28, 28), (1, 1, 28, 28), None),
        ("UINT8", (4, 5, 3), (4, 5, 3), None),
    ],
)
def test_an_image_gets_the_size_and_layout_of_the_input(tmp_path, datatype, shape, fitted, red):
    declared = Declared((TensorSpec("image", datatype, shape),))
    array = fit(declared, request_file.read(image(tmp_path), declared))["image"].array
    assert array.shape == fitted
    if red is not None:
        first = array[0, 0] if shape[1] == 3 else array[0, ..., 0]
        assert (first == red).all()


def test_an_image_of_too_many_pixels_is_refused(tmp_path):
    declared = Declared((TensorSpec("image", "UINT8", (-1, 3, 4, 5)),))
    with pytest.raises(UsageError, match="pixels"):
        request_file.read(image(tmp_path, mode="1", size=(20_000, 6_000), color=0), declared)


def test_an_image_goes_whole_to_a_model_that_decodes_it(tmp_path):
    declared = Declared((TensorSpec("jpeg", "BYTES", (-1, 1)),), max_batch_size=4)
    array = fit(declared, request_file.read(image(tmp_path), declared))["jpeg"].array
    assert array.shape == (1, 1)
    assert array[0, 0].startswith(b"\x89PNG")


def repository(*inputs: TensorSpec) -> ModelRepository:
    outputs = (TensorSpec("y", "FP32", (-1,)),)
    return ModelRepository(
        "m", "sha256:0", (), (RepositoryMember("m", "onnxruntime", inputs, outputs, 8),)
    )


def test_an_example_has_every_required_input():
    made = request_example.of(
        repository(*COLUMNS.inputs, TensorSpec("extra", "FP32", (1,), optional=True)),
        "http://127.0.0.1:8080/v2/models/m/infer",
    )
    body = json.loads(made["curl"].partition("-d '")[2].removesuffix("'"))
    assert body["inputs"] == [
        {"name": "age", "shape": [1, 1], "datatype": "INT64", "data": [0]},
        {"name": "city", "shape": [1, 1], "datatype": "BYTES", "data": ["text"]},
    ]
    assert "'127.0.0.1:8080'" in made["python"]
    compile(made["python"], "example", "exec")


def test_an_example_of_a_large_input_is_made_by_a_line_of_python():
    made = request_example.of(
        repository(TensorSpec("image", "FP32", (-1, 3, 224, 224))), "http://h/v2/models/m/infer"
    )
    assert len(made["curl"]) < 400
    assert made["curl"].startswith("python3 -c")
    assert "curl" in made["curl"]


def test_an_example_that_json_cannot_carry_points_to_python():
    made = request_example.of(repository(TensorSpec("x", "FP16", (4,))), "http://h/v2/models/m")
    assert made["curl"].startswith("#")
    assert 'dtype="float16"' in made["python"]


def test_an_input_may_be_called_like_a_part_of_the_protocol(tmp_path):
    for name in ("inputs", "outputs", "parameters"):
        declared = Declared((TensorSpec(name, "FP32", (-1, 3)),), max_batch_size=8)
        source = write(tmp_path, f"{name}.json", json.dumps({name: [[1, 2, 3]]}))
        fitted = fit(declared, request_file.read(source, declared))
        assert fitted[name].array.tolist() == [[1, 2, 3]]


def test_the_parameters_of_a_request(tmp_path):
    document = {"inputs": [], "parameters": {"sequence_id": 7, "binary_data_output": True}}
    path = tmp_path / "request.json"
    path.write_text(json.dumps(document | {"params": {"power": 2}}))
    assert request_file.parameters(path) == {"sequence_id": 7, "power": 2}
    path.write_text("1,2\n")
    assert request_file.parameters(path) == {}


def test_an_empty_cell_is_a_missing_value_where_one_may_be(tmp_path):
    mark = TensorSpec("city.missing", "BOOL", (-1, 1), optional=True, marks="city")
    declared = Declared((*COLUMNS.inputs, mark), max_batch_size=8)
    source = write(tmp_path, "table.csv", "city,age\nBern,41\n,7\n")
    fitted = fit(declared, request_file.read(source, declared))
    assert fitted["city.missing"].array.tolist() == [[False], [True]]
    assert fitted["city"].array.tolist() == [["Bern"], [""]]


def test_a_ready_request_is_the_golden_one_if_it_can_be_read():
    golden = {"when": np.array([[b"2026-01-31"], [b"2026-02-01"]], object)}
    made = request_example.of(
        repository(TensorSpec("when", "BYTES", (-1, 1))), "http://h/v2/models/m", golden
    )
    assert '"shape": [1, 1], "datatype": "BYTES", "data": ["2026-01-31"]' in made["curl"]
    assert "np.array(['2026-01-31'], dtype=object).reshape([1, 1])" in made["python"]
    odd = {"when": np.array([[b"\xff"]], object)}
    made = request_example.of(
        repository(TensorSpec("when", "BYTES", (-1, 1))), "http://h/v2/models/m", odd
    )
    assert '"text"' in made["curl"]
