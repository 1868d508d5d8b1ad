"""The MLflow source against a real MLflow: a server with passwords, a database, a folder."""

from __future__ import annotations

import dataclasses
import json
import platform
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from cloche.artifacts.identity import identity
from cloche.clients.mlflow import connect, tracking_address
from cloche.errors import ClocheError
from cloche.pipeline import resolve
from cloche.progress import SilentProgress
from cloche.sources.mlflow import resolution_cache
from cloche.sources.mlflow.locations import ArtifactOwner, RemoteFolder, locate
from cloche.store import Store
from fixtures.mlflow import LOG_MODELS, PASSWORD, run_mlflow

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelSnapshot
    from fixtures.mlflow import LoggedDigits, MlflowServer


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def take(store: Store, text: str, variables: dict[str, str]) -> ModelSnapshot:
    return resolve(
        text,
        directory=store.root.parent,
        store=store,
        progress=SilentProgress(),
        environment=variables,
    )


def refused(store: Store, text: str, variables: dict[str, str]) -> ClocheError:
    with pytest.raises(ClocheError) as raised:
        take(store, text, variables)
    assert PASSWORD not in str(raised.value.to_dict())
    assert raised.value.hint
    return raised.value


# ── a server ──────────────────────────────────────────────────────────────────────────────────


def test_every_reference_is_pinned(
    mlflow_server: MlflowServer, mlflow_digits: LoggedDigits, store: Store
) -> None:
    variables = mlflow_server.environment()
    first = take(store, "models:/digits@champion", variables)
    assert (first.pinned, first.version, first.source) == ("models:/digits/1", "1", "mlflow")
    assert take(store, "models:/digits/1", variables).digest == first.digest
    second = take(store, "models:/digits/latest", variables)
    assert (second.pinned, second.version) == ("models:/digits/2", "2")
    assert second.digest != first.digest
    model_id = mlflow_digits.model_id
    for text in (f"models:/{model_id}", f"runs:/{mlflow_digits.run_id}/model"):
        logged = take(store, text, variables)
        assert (logged.pinned, logged.version) == (f"models:/{model_id}", None)
        assert logged.digest == second.digest
        assert logged.reference == text
        assert (logged.registry, logged.metadata.experiment_id) == (mlflow_server.url, "0")
    assert (
        identity(first) == identity(second) == ("mlflow", mlflow_server.url, "registered", "digits")
    )
    assert identity(logged) == ("mlflow", mlflow_server.url, "run", "0", "model")


def test_what_the_registry_knows_comes_along(
    mlflow_server: MlflowServer, mlflow_digits: LoggedDigits, store: Store
) -> None:
    snapshot = take(store, "models:/digits@champion", mlflow_server.environment())
    metadata = snapshot.metadata
    assert metadata.signature is not None
    assert [(spec.datatype, spec.shape) for spec in metadata.signature.inputs] == [
        ("FP64", (-1, 4))
    ]
    assert metadata.input_example == "serving_input_example.json"
    assert "scikit-learn==1.9.1" in metadata.requirements
    assert metadata.python == platform.python_version()
    assert "sklearn" in metadata.flavors
    assert metadata.parameters["C"] == "1.0"
    assert metadata.metrics == {"accuracy": 0.25, "loss": 2.0}
    assert metadata.tags["team"] == "vision"
    assert metadata.tags["reviewed"] == "yes"
    assert metadata.run_id == mlflow_digits.run_id


def test_a_moved_alias_is_seen_and_an_unchanged_one_fetches_nothing(
    mlflow_server: MlflowServer, mlflow_digits: LoggedDigits, store: Store
) -> None:
    variables = mlflow_server.environment()
    alias = {"name": "digits", "alias": "moving"}
    mlflow_server.post("registered-models/alias", **alias, version="1")
    before = take(store, "models:/digits@moving", variables)
    log = mlflow_server.folder / "server.log"
    seen = len(log.read_text())
    assert take(store, "models:/digits@moving", variables) == before
    asked = [line for line in log.read_text()[seen:].splitlines() if '"GET ' in line]
    assert len(asked) == 1, asked
    mlflow_server.post("registered-models/alias", **alias, version="2")
    after = take(store, "models:/digits@moving", variables)
    assert (before.version, after.version) == ("1", "2")


def test_a_file_that_was_put_in_by_hand_is_seen_after_a_while(
    mlflow_server: MlflowServer,
    mlflow_digits: LoggedDigits,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variables = mlflow_server.environment()
    before = take(store, "models:/digits/latest", variables)
    folder = mlflow_server.folder / f"artifacts/0/models/{mlflow_digits.model_id}/artifacts"
    later = time.time() + 3600
    monkeypatch.setattr(resolution_cache.time, "time", lambda: later)
    assert take(store, "models:/digits/latest", variables) == before
    (folder / "more.txt").write_text("more")
    assert take(store, "models:/digits/latest", variables) == before
    monkeypatch.setattr(resolution_cache.time, "time", lambda: later + 3600)
    after = take(store, "models:/digits/latest", variables)
    (folder / "more.txt").unlink()
    assert {entry.path for entry in after.files} - {e.path for e in before.files} == {"more.txt"}


def test_a_damaged_store_is_filled_again(
    mlflow_server: MlflowServer, mlflow_digits: LoggedDigits, store: Store
) -> None:
    snapshot = take(store, "models:/digits/1", mlflow_server.environment())
    blob = store.blob_path(snapshot.files[0].digest)
    blob.chmod(0o644)
    blob.write_bytes(b"damaged")
    assert take(store, "models:/digits/1", mlflow_server.environment()) == snapshot
    assert store.verify(snapshot.digest)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models:/digit@champion", "mlflow.model: 'digits'"),
        ("models:/digits@champ", "mlflow.alias: champion"),
        ("models:/digits/77", "mlflow.version: 1, 2"),
        ("models:/nothing/latest", "mlflow.model: digits"),
        ("models:/m-" + "0" * 32, "mlflow.logged_model: "),
        ("runs:/" + "0" * 32 + "/model", "mlflow.run: "),
    ],
)
def test_what_is_not_there_says_what_is(
    mlflow_server: MlflowServer,
    mlflow_digits: LoggedDigits,
    store: Store,
    text: str,
    expected: str,
) -> None:
    error = refused(store, text, mlflow_server.environment())
    code, hint = expected.split(": ")
    assert error.code == code
    assert hint in (error.hint or "")
    assert error.where == mlflow_server.url


def test_a_run_without_that_model_says_which_it_has(
    mlflow_server: MlflowServer, mlflow_digits: LoggedDigits, store: Store
) -> None:
    text = f"runs:/{mlflow_digits.run_id}/nets"
    error = refused(store, text, mlflow_server.environment())
    assert error.code == "source.mlflow.nomodel"
    assert error.hint == "The run logged model."


@pytest.mark.parametrize(
    "variables",
    [
        {"MLFLOW_TRACKING_PASSWORD": "wrong password"},
        {"MLFLOW_TRACKING_USERNAME": ""},
    ],
)
def test_wrong_credentials(
    mlflow_server: MlflowServer, store: Store, variables: dict[str, str]
) -> None:
    error = refused(store, "models:/digits/1", mlflow_server.environment(**variables))
    assert error.code == "mlflow.unauthorized"
    assert not set(variables.values()) & set(str(error.to_dict()).split())


def test_a_user_without_permission(
    mlflow_server: MlflowServer, mlflow_digits: LoggedDigits, store: Store
) -> None:
    mlflow_server.post("users/create", username="guest", password="another password")
    guest = mlflow_server.environment(
        MLFLOW_TRACKING_USERNAME="guest", MLFLOW_TRACKING_PASSWORD="another password"
    )
    assert refused(store, "models:/digits/1", guest).code == "mlflow.forbidden"


_LARGE = """
import mlflow, os
os.makedirs("large/deep é", exist_ok=True)
with open("large/deep é/weights 1.bin", "wb") as file:
    file.write(os.urandom(int(os.environ["SIZE"])))

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input

with mlflow.start_run() as run:
    info = mlflow.pyfunc.log_model(
        python_model=Model(), name="large", artifacts={"weights": "large"},
        registered_model_name="large", pip_requirements=["mlflow"],
    )
print(run.info.run_id, info.model_id)
"""

_RESOLVE = """
import contextlib, json, os, signal, sys
from pathlib import Path
from cloche.pipeline import resolve
from cloche.store import Store

class Killer:
    done = 0

    @contextlib.contextmanager
    def task(self, title, total=None):
        yield self

    def advance(self, amount):
        self.done += amount
        if self.done > 8 * 2**20:
            os.kill(os.getpid(), signal.SIGKILL)

    def note(self, text):
        pass

resolve("models:/large/1", directory=Path("."), store=Store(Path(sys.argv[1])),
        progress=Killer(), environment=json.loads(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def large_model(
    mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str]:
    """A model with nested folders and 64 MiB: the ids of its run and of itself."""
    scratch = tmp_path_factory.mktemp("large")
    script = f"import os; os.chdir({str(scratch)!r})\n{_LARGE}"
    run_id, model_id = mlflow_server.run(script, SIZE=str(64 * 2**20))
    return run_id, model_id


def test_a_killed_download_is_taken_up_from_a_real_server(
    mlflow_server: MlflowServer, large_model: tuple[str, str], store: Store
) -> None:
    variables = mlflow_server.environment()
    done = subprocess.run(
        [sys.executable, "-c", _RESOLVE, str(store.root), json.dumps(variables)],
        check=False,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL
    partial = store.root / "partial"
    assert any(path.stat().st_size > 4 * 2**20 for path in partial.glob("download-*"))

    snapshot = take(store, "models:/large/1", variables)
    assert "artifacts/large/deep é/weights 1.bin" in {entry.path for entry in snapshot.files}
    assert store.verify(snapshot.digest)
    assert list(partial.glob("download-*")) == []
    store.clean(keep={snapshot.digest})
    assert list(partial.iterdir()) == [], "the kill may have hit the writing of a small value, too"
    log = (mlflow_server.folder / "server.log").read_text()
    assert '1.1" 206' in log, "the server was not asked for the rest alone"


def test_what_only_the_server_can_read_comes_through_it(
    mlflow_server: MlflowServer, large_model: tuple[str, str], store: Store
) -> None:
    registry = connect(tracking_address(mlflow_server.environment(), store.root))
    folder = locate(
        "s3://bucket/model",
        registry=registry,  # type: ignore[arg-type]
        owner=ArtifactOwner(large_model[1]),
        directory=store.root,
    )
    assert isinstance(folder, RemoteFolder)
    files = {file.path: file for file in folder.files(folder.top())}
    assert files["artifacts/large/deep é/weights 1.bin"].size == 64 * 2**20
    with folder.registry.transport.stream(files["MLmodel"].endpoint, {}, 30.0) as response:
        assert b"flavors" in b"".join(response.blocks())
    registry.close()


# ── a database, a folder ──────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module", params=["sqlite", "folder"])
def local_store(
    request: pytest.FixtureRequest, mlflow_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, str], list[str]]:
    """The variables of a local store of MLflow with `digits`, and its run and model."""
    folder = tmp_path_factory.mktemp(f"local {request.param}")
    uri = f"sqlite:///{folder}/mlflow.db" if request.param == "sqlite" else f"{folder}/mlruns"
    variables = {"HOME": str(folder), "MLFLOW_TRACKING_URI": uri}
    script = f"import os; os.chdir({str(folder)!r})\n{LOG_MODELS}"
    ids = run_mlflow(mlflow_python, script, MLFLOW_ALLOW_FILE_STORE="true", **variables)
    return variables, ids


def test_a_local_store_gives_the_same(
    local_store: tuple[dict[str, str], list[str]], store: Store
) -> None:
    variables, (run_id, model_id) = local_store
    champion = take(store, "models:/digits@champion", variables)
    assert (champion.pinned, champion.version) == ("models:/digits/1", "1")
    assert champion.metadata.metrics == {"accuracy": 0.25, "loss": 2.0}
    assert champion.metadata.parameters["C"] == "1.0"
    assert champion.metadata.tags["reviewed"] == "yes"
    assert champion.metadata.tags["team"] == "vision"
    latest = take(store, "models:/digits/latest", variables)
    for text in (f"models:/{model_id}", f"runs:/{run_id}/model"):
        logged = take(store, text, variables)
        assert (logged.digest, logged.registry) == (latest.digest, latest.registry)
    assert identity(logged)[2:] == ("run", "0", "model")
    assert identity(latest) == identity(champion)
    again = take(store, "models:/digits@champion", variables)
    assert dataclasses.replace(again) == champion


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("models:/digit@champion", "mlflow.model", "'digits'"),
        ("models:/digits@champ", "mlflow.alias", "challenger, champion"),
        ("models:/digits/77", "mlflow.version", "1, 2"),
        ("models:/m-" + "0" * 32, "mlflow.logged_model", ""),
        ("runs:/" + "0" * 32 + "/model", "mlflow.run", ""),
    ],
)
def test_what_is_not_in_a_local_store(
    local_store: tuple[dict[str, str], list[str]], store: Store, text: str, code: str, hint: str
) -> None:
    error = refused(store, text, local_store[0])
    assert error.code == code
    assert hint in (error.hint or "")
