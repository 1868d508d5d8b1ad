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


def test_a_csv_error_names_the_column_and_the_line_of_the_file(tmp_path):
    source = write(tmp_path, "table.csv", 'city,age\n"Bern\nBrig",41\n\nThun,old\nVisp,\n')
    with pytest.raises(UsageError) as caught:
        request_file.read(source, COLUMNS)
    assert caught.value.what.startswith("Column 'age' has 'old', which is not ")
    assert caught.value.where == f"{source}:5"
    with pytest.raises(UsageError, match="Column 'age' has an empty cell, which is not"):
        request_file.read(write(tmp_path, "gap.csv", "city,age\nVisp,\n"), COLUMNS)


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
        ("1,2\n3\n", "infer.csv", "Line 2 has 1 cell, line 1 has 2."),
        ("a,b\n3\n", "infer.csv", "It has nothing for the column 'b'."),
        ("1,2\n3,x\n", "infer.csv", "Column 2 has 'x', which is not FP32."),
        ("a,b\n3,x\n", "infer.csv", "Column 'b' has 'x', which is not FP32."),
        ('a,b\n1,"2\n3', "infer.csv", "Column 'b' has"),
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


AT = request_example.Addressed(
    "http://127.0.0.1:8080/v2/models/m/infer", "127.0.0.1:8080", "service"
)


def test_an_example_has_every_required_input():
    made = request_example.of(
        repository(*COLUMNS.inputs, TensorSpec("extra", "FP32", (1,), optional=True)),
        AT,
    )
    body = json.loads(made["curl"].partition("-d '")[2].removesuffix("'"))
    assert body["inputs"] == [
        {"name": "age", "shape": [1, 1], "datatype": "INT64", "data": [0]},
        {"name": "city", "shape": [1, 1], "datatype": "BYTES", "data": ["text"]},
    ]
    assert "'127.0.0.1:8080'" in made["python"]
    compile(made["python"], "example", "exec")


def test_an_example_of_a_large_input_is_made_by_a_line_of_python():
    made = request_example.of(repository(TensorSpec("image", "FP32", (-1, 3, 224, 224))), AT)
    assert len(made["curl"]) < 400
    assert made["curl"].startswith("python3 -c")
    assert "curl" in made["curl"]


def test_an_example_that_json_cannot_carry_points_to_python():
    made = request_example.of(repository(TensorSpec("x", "FP16", (4,))), AT)
    assert made["curl"].startswith("#")
    assert 'dtype="float16"' in made["python"]


def test_an_example_of_a_large_golden_request_keeps_its_shape():
    golden = {"image": np.full((2, 3, 32, 32), 0.5, np.float32)}
    made = request_example.of(repository(TensorSpec("image", "FP32", (-1, 3, -1, -1))), AT, golden)
    assert "'shape': [1, 3, 32, 32]" in made["curl"].replace("'\"'\"'", "'")
    assert "[0.5] * 3072" in made["curl"]
    assert 'np.full([1, 3, 32, 32], 0.5, dtype="float32")' in made["python"]


@pytest.mark.parametrize(
    ("datatype", "values", "written"),
    [
        ("FP16", np.array([[0.5]], np.float16), 'np.array([0.5], dtype="float16")'),
        ("FP64", np.array([[np.nan]]), 'np.array([float("nan")], dtype="float64")'),
        ("BYTES", np.array([[b"\xff"]], object), "np.array([b'\\xff'], dtype=object)"),
    ],
)
def test_a_golden_request_that_json_cannot_carry_is_shown_in_python(datatype, values, written):
    made = request_example.of(repository(TensorSpec("x", datatype, (-1, 1))), AT, {"x": values})
    assert made["curl"].startswith("#")
    assert written in made["python"]
    compile(made["python"], "example", "exec")


def test_the_parameters_of_the_golden_request_are_shown():
    spec = TensorSpec("x", "FP32", (-1, 1))
    given = {"sequence_id": 7, "sequence_start": True, "power": 2}
    made = request_example.of(repository(spec), AT, {"x": np.ones((1, 1), np.float32)}, given)
    assert json.loads(made["curl"].partition("-d '")[2].removesuffix("'"))["parameters"] == given
    assert "-H 'cloche-sequence: 7'" in made["curl"]
    assert "sequence_id=7, sequence_start=True, parameters={'power': 2})" in made["python"]
    assert "headers={'cloche-sequence': '7'}" in made["python"]


def test_a_service_without_a_plain_address_is_named_in_a_header():
    at = request_example.Addressed("http://b.localhost:1/v2/models/m/infer", "127.0.0.1:1", "b")
    made = request_example.of(repository(TensorSpec("x", "FP32", (1,))), at)
    assert "InferenceServerClient('127.0.0.1:1')" in made["python"]
    assert "headers={'cloche-service': 'b'}" in made["python"]


def test_a_model_that_streams_is_asked_over_grpc():
    spec = TensorSpec("x", "FP32", (1,))
    member = RepositoryMember("m", "python", (spec,), (spec,), 0, decoupled=True)
    made = request_example.of(ModelRepository("m", "sha256:0", (), (member,)), AT)
    assert made["curl"].startswith("#")
    assert "import tritonclient.grpc" in made["python"]
    assert "async_stream_infer('m', inputs)" in made["python"]


def test_an_input_may_be_called_like_a_part_of_the_protocol(tmp_path):
    for name in ("inputs", "outputs", "parameters"):
        declared = Declared((TensorSpec(name, "FP32", (-1, 3)),), max_batch_size=8)
        source = write(tmp_path, f"{name}.json", json.dumps({name: [[1, 2, 3]]}))
        fitted = fit(declared, request_file.read(source, declared))
        assert fitted[name].array.tolist() == [[1, 2, 3]]


def test_the_parameters_of_a_request(tmp_path, monkeypatch):
    entry = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}
    document = {"inputs": [entry], "parameters": {"sequence_id": 7, "binary_data_output": True}}
    source = write(tmp_path, "v2.json", json.dumps(document | {"params": {"power": 2}}))
    tensors, parameters = request_file.request(source, MATRIX)
    assert tensors["x"].array.tolist() == [[1, 2]]
    assert parameters == {"sequence_id": 7, "power": 2}
    assert request_file.request(write(tmp_path, "t.csv", "1,2\n"), MATRIX)[1] == {}
    monkeypatch.setattr(
        sys, "stdin", SimpleNamespace(buffer=io.BytesIO(json.dumps(document).encode()))
    )
    assert request_file.request("-", MATRIX)[1] == {"sequence_id": 7}


@pytest.mark.parametrize(
    "document",
    [
        {"dataframe_split": {"columns": ["city", "age"], "data": [["Bern", 41], ["Thun", 7]]}},
        {"dataframe_split": {"data": [[41, "Bern"], [7, "Thun"]]}},
        {"dataframe_records": [{"age": 41, "city": "Bern"}, {"city": "Thun", "age": 7}]},
        {
            "instances": [{"age": 41, "city": "Bern"}, {"city": "Thun", "age": 7}],
            "params": {"a": 1},
        },
        [{"age": 41, "city": "Bern"}, {"city": "Thun", "age": 7}],
    ],
)
def test_tables_as_the_scoring_server_of_mlflow_takes_them(tmp_path, document):
    source = write(tmp_path, "request.json", json.dumps(document))
    fitted = fit(COLUMNS, request_file.read(source, COLUMNS))
    assert fitted["age"].array.tolist() == [[41], [7]]
    assert fitted["city"].array.tolist() == [["Bern"], ["Thun"]]


def test_a_key_that_only_a_later_record_has_is_kept(tmp_path):
    records = [{"age": 41, "city": "Bern"}, {"age": 7, "city": "Thun", "land": "CH"}]
    source = write(tmp_path, "request.json", json.dumps({"dataframe_records": records}))
    with pytest.raises(UsageError, match="no input 'land'"):
        fit(COLUMNS, request_file.read(source, COLUMNS))


def test_a_table_of_other_columns_is_refused_with_its_inputs(tmp_path):
    source = write(tmp_path, "request.json", '{"dataframe_split": {"data": [[41]]}}')
    with pytest.raises(UsageError) as refused:
        request_file.request(source, COLUMNS)
    assert refused.value.code == "infer.json"
    assert "age, city" in (refused.value.hint or "")


def test_an_empty_cell_is_a_missing_value_where_one_may_be(tmp_path):
    mark = TensorSpec("city.missing", "BOOL", (-1, 1), optional=True, marks="city")
    declared = Declared((*COLUMNS.inputs, mark), max_batch_size=8)
    source = write(tmp_path, "table.csv", "city,age\nBern,41\n,7\n")
    fitted = fit(declared, request_file.read(source, declared))
    assert fitted["city.missing"].array.tolist() == [[False], [True]]
    assert fitted["city"].array.tolist() == [["Bern"], [""]]


def test_a_ready_request_is_the_golden_one():
    golden = {"when": np.array([[b"2026-01-31"], [b"2026-02-01"]], object)}
    made = request_example.of(repository(TensorSpec("when", "BYTES", (-1, 1))), AT, golden)
    assert '"shape": [1, 1], "datatype": "BYTES", "data": ["2026-01-31"]' in made["curl"]
    assert "np.array(['2026-01-31'], dtype=object).reshape([1, 1])" in made["python"]
