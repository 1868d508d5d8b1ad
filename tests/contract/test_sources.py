"""What every source keeps: one suite, each kind of source."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cloche import composition
from cloche.artifacts import ModelSnapshot, decode, digest_of_files, encode
from cloche.errors import ClocheError
from cloche.pipeline import resolve
from cloche.progress import SilentProgress
from cloche.sources import PinnedModel, ResolveContext, current
from cloche.store import Store
from cloche.store.index import is_settled
from fixtures.hub_models import tensors
from fixtures.mlflow import run_mlflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.progress import Task
    from fixtures.hub import LocalHub
    from fixtures.mlflow import LoggedDigits, MlflowServer


@dataclass
class Case:
    """A model that a source has, and how it is written."""

    text: str
    source: str
    absent: str
    """A reference of the same kind to what is not there."""
    directory: Path
    environment: dict[str, str] = field(default_factory=dict)


class Steps(SilentProgress):
    """Notes which steps were announced."""

    def __init__(self) -> None:
        self.titles: list[str] = []

    @contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Task]:
        self.titles.append(title)
        with super().task(title, total) as task:
            yield task


def save_onnx(path: Path) -> None:
    value = helper.make_tensor_value_info
    weights = numpy_helper.from_array(np.ones(4, np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [value("x", TensorProto.FLOAT, ["n", 4])],
        [value("y", TensorProto.FLOAT, ["n", 4])],
        initializer=[weights],
    )
    onnx.save(helper.make_model(graph), path)


@pytest.fixture
def onnx_file(tmp_path: Path) -> Case:
    save_onnx(tmp_path / "my model é.onnx")
    return Case("my model é.onnx", "files", "another.onnx", tmp_path)


@pytest.fixture
def mlflow_folder(tmp_path: Path) -> Case:
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/MLmodel").write_text("flavors: {onnx: {data: model.onnx}}\n")
    save_onnx(tmp_path / "saved/model.onnx")
    return Case("saved", "files", "saved/nothing", tmp_path)


@pytest.fixture
def transformers_folder(tmp_path: Path) -> Case:
    folder = tmp_path / "bert"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["BertModel"]}')
    (folder / "model.safetensors").write_bytes(tensors(40))
    return Case("bert", "files", "bert/nothing", tmp_path)


@pytest.fixture
def triton_repository(tmp_path: Path) -> Case:
    (tmp_path / "repository/net/1").mkdir(parents=True)
    (tmp_path / "repository/net/config.pbtxt").write_text('platform: "onnxruntime_onnx"\n')
    save_onnx(tmp_path / "repository/net/1/model.onnx")
    return Case(str(tmp_path / "repository"), "files", "./repositories", tmp_path)


@pytest.fixture
def mlflow_server_model(
    mlflow_server: MlflowServer, mlflow_digits: LoggedDigits, tmp_path: Path
) -> Case:
    variables = mlflow_server.environment()
    return Case("models:/digits@champion", "mlflow", "models:/digits@none", tmp_path, variables)


@pytest.fixture(scope="module")
def mlflow_database(mlflow_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which MLflow was used without any server."""
    folder = tmp_path_factory.mktemp("database")
    script = f"""
import mlflow, os
os.chdir({str(folder)!r})

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input

with mlflow.start_run():
    mlflow.pyfunc.log_model(
        python_model=Model(), name="m", registered_model_name="digits", pip_requirements=["mlflow"]
    )
mlflow.MlflowClient().set_registered_model_alias("digits", "champion", 1)
print("done")
"""
    run_mlflow(mlflow_python, script, HOME=str(folder))
    return folder


@pytest.fixture
def mlflow_database_model(mlflow_database: Path, tmp_path: Path) -> Case:
    shutil.copytree(mlflow_database, tmp_path / "used here", dirs_exist_ok=True)
    return Case("models:/digits@champion", "mlflow", "models:/digits/9", tmp_path / "used here")


@pytest.fixture
def hub_repository(hub: LocalHub, tmp_path: Path) -> Case:
    save_onnx(tmp_path / "model.onnx")
    onnx_file = (tmp_path / "model.onnx").read_bytes()
    hub.add("org/net", {"README.md": b"---\nlicense: mit\n---\n", "onnx/model.onnx": onnx_file})
    return Case("hf://org/net", "huggingface", "hf://org/none", tmp_path, hub.environment())


@pytest.fixture(
    params=[
        "onnx_file",
        "mlflow_folder",
        "transformers_folder",
        "triton_repository",
        "mlflow_server_model",
        "mlflow_database_model",
        "hub_repository",
    ]
)
def case(request: pytest.FixtureRequest) -> Case:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Case)
    let_settle(found.directory)
    return found


def let_settle(folder: Path) -> None:
    """Wait until the files' timestamps are a few clock ticks old: younger ones are not trusted."""
    deadline = time.monotonic() + 5
    while not all(is_settled(path.stat()) for path in folder.rglob("*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home/store")


def take(case: Case, store: Store, progress: SilentProgress | None = None) -> ModelSnapshot:
    return resolve(
        case.text,
        directory=case.directory,
        store=store,
        progress=progress or SilentProgress(),
        environment=case.environment,
    )


def test_the_snapshot_is_in_the_store_whole(case: Case, store: Store) -> None:
    snapshot = take(case, store)
    assert snapshot.reference == case.text
    assert snapshot.source == case.source
    assert snapshot.digest == digest_of_files(snapshot.files)
    assert list(snapshot.files) == sorted(snapshot.files, key=lambda entry: entry.path)
    folder = store.tree_path(snapshot.digest)
    assert (folder / snapshot.entry).exists()
    on_disk = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert on_disk == {entry.path for entry in snapshot.files}
    assert store.verify(snapshot.digest)
    assert list((store.root / "partial").iterdir()) == []
    assert list((store.root / "leases").iterdir()) == []


def test_the_same_model_is_the_same_digest_in_another_store(
    case: Case, store: Store, tmp_path: Path
) -> None:
    assert take(case, store).digest == take(case, Store(tmp_path / "other/store")).digest


def test_a_second_resolve_fetches_nothing(case: Case, store: Store) -> None:
    first, progress = take(case, store), Steps()
    assert take(case, store, progress) == first
    assert progress.titles == []


def test_what_was_damaged_or_cleaned_is_fetched_again(case: Case, store: Store) -> None:
    snapshot = take(case, store)
    damaged = store.tree_path(snapshot.digest) / snapshot.files[0].path
    damaged.chmod(0o644)
    damaged.write_bytes(b"x")
    assert take(case, store).digest == snapshot.digest
    assert store.verify(snapshot.digest)
    store.clean((), 0)
    assert take(case, store) == snapshot
    assert store.verify(snapshot.digest)


def now(case: Case, store: Store, progress: SilentProgress) -> PinnedModel:
    context = ResolveContext(case.directory, case.environment, store, progress)
    return current(case.text, composition.sources(), context)


def test_what_a_reference_names_now_is_known_without_its_files(case: Case, store: Store) -> None:
    progress = Steps()
    pinned = now(case, store, progress)
    assert progress.titles == []
    assert store.size() < 100_000  # nothing of the model was fetched
    assert not list((store.root / "trees").glob("*"))
    snapshot = take(case, store)
    assert (pinned.pinned, pinned.version) == (snapshot.pinned, snapshot.version)
    assert now(case, store, progress) == pinned


def test_every_source_has_its_schemes_alone() -> None:
    sources = composition.sources()
    schemes = [scheme for source in sources for scheme in source.schemes]
    assert len(schemes) == len(set(schemes))
    assert len({source.name for source in sources}) == len(sources)
    assert all(source.forms for source in sources)


def test_a_snapshot_survives_json(case: Case, store: Store) -> None:
    snapshot = take(case, store)
    assert decode(ModelSnapshot, encode(snapshot)) == snapshot


def test_what_is_not_there_is_one_clear_error(case: Case, store: Store) -> None:
    case.text = case.absent
    with pytest.raises(ClocheError) as raised:
        take(case, store)
    assert raised.value.hint
    assert raised.value.where
    assert raised.value.exit_code == 1
