"""MLflow models from the folder they were saved to, to verified answers of real Triton.

They are saved and served in an environment that Cloche locked and made; both are kept in
CLOCHE_TEST_CACHE, so that only the first run takes long.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from cloche import pipeline
from cloche.artifacts import Deployment, Judge, Member, RequestOrigin
from cloche.clients.kserve.client import InferenceClient
from cloche.clients.kserve.tensors import decode, encode
from cloche.errors import ClocheError
from cloche.progress import SilentProgress
from cloche.spec import ServiceSpec
from cloche.store import Store
from cloche.verification import replay as verification
from cloche.verification.reference import Interpreters
from fixtures.golden import golden
from fixtures.triton import document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.artifacts import Lock
    from cloche.servers.triton import TritonInstallation
    from fixtures.triton import TritonStarter

MODELS = ("people", "numbers", "echo", "describe")


@dataclass(frozen=True)
class Made:
    """Everything that the tests share."""

    store: Store
    environment: Path
    deployments: dict[str, Deployment]


@pytest.fixture(scope="module")
def made(saved: tuple[Lock, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Made:
    lock, environment, folder = saved
    store = Store(tmp_path_factory.mktemp("models") / "store", 2**30)
    deployments = {}
    for name in MODELS:
        snapshot = pipeline.resolve(
            str(folder / name), directory=folder, store=store, progress=SilentProgress(),
            environment={},
        )  # fmt: skip
        facts = pipeline.facts(snapshot, store)
        assert {line.split("==")[0] for line in facts.requirements} >= {"mlflow", "scikit-learn"}
        spec = ServiceSpec.model_validate({"model": str(folder / name), "batching": {
            "max_batch_size": 64}})  # fmt: skip
        built = pipeline.build(name, snapshot, facts, lock, spec, store)
        deployments[name] = Deployment(name, (Member(name, snapshot, facts, lock),), built)
    return Made(store, environment, deployments)


@pytest.fixture(scope="module")
def client(made: Made, triton_starter: TritonStarter) -> Iterator[InferenceClient]:
    files = [entry for one in made.deployments.values() for entry in one.repository.files]
    tree = made.store.tree_path(made.store.put_tree(tuple(files)))
    running = triton_starter.start(tree, MODELS, environment=made.environment)
    with InferenceClient(running.url) as client:
        yield client


def ask(client: InferenceClient, model: str, tensors: dict[str, Any], **how: Any) -> dict[str, Any]:
    body, length = encode(tensors, binary=how.get("binary", True))
    answer = client.infer(model, body, length)
    return decode(answer.body, answer.header_length)


def person(rows: int = 1, **changes: Any) -> dict[str, Any]:
    given = {"age": 30, "income": 6e4, "city": "Rome", "member": True} | changes
    types = {"age": "i8", "income": "f8", "city": object, "member": "?"}
    return {name: np.full((rows, 1), value, types[name]) for name, value in given.items()}


def described(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "when": np.array([["2026-01-31T12:00:00"], ["1999-12-31"]], object),
        "who": np.array([["zoë"], ["al"]], object),
        "values": np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
        "blob": np.array([[b"\xff\x00"], [b""]], object),
    }
    given |= changes
    return {name: value for name, value in given.items() if value is not None}


@pytest.mark.parametrize(
    ("model", "origin"),
    [("people", RequestOrigin.STORED), ("numbers", RequestOrigin.MADE),
     ("echo", RequestOrigin.MADE), ("describe", RequestOrigin.MADE)],
)  # fmt: skip
def test_what_triton_answers_is_what_the_model_says(
    model: str, origin: RequestOrigin, made: Made, client: InferenceClient,
    triton_installation: TritonInstallation,
) -> None:  # fmt: skip
    deployed = made.deployments[model]
    pythons = Interpreters(triton_installation.interpreter, made.environment / "bin" / "python")
    request = golden(deployed, made.store, pythons)
    assert (request.origin, request.judge) == (origin, Judge.REFERENCE)
    done = verification.verify(
        request, client.base_url, model=deployed.repository.main, store=made.store
    )
    assert done.passed, done.detail
    assert {one.name for one in done.outputs} == {
        one.name for one in deployed.repository.main.outputs
    }


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
def test_a_table_is_asked_column_by_column(client: InferenceClient, binary: bool) -> None:
    answer = ask(client, "people", person(2, income=[[1e4], [9e4]]), binary=binary)
    assert answer["output"].tolist() == [[b"no"], [b"yes"]]


def test_an_array_is_asked_as_one_tensor(client: InferenceClient) -> None:
    answer = ask(client, "numbers", {"input": np.array([[0.3, 0.1], [0.3, 0.9]])})
    assert answer["output"].ravel().tolist() == [False, True]


def test_columns_of_every_kind(client: InferenceClient) -> None:
    answer = ask(client, "describe", described())
    assert answer["year"].ravel().tolist() == [2026, 1999]
    assert answer["name"].ravel().tolist() == ["ZOË".encode(), b"AL"]
    assert answer["sum"].ravel().tolist() == [6.0, 15.0]
    assert answer["bytes"].ravel().tolist() == [2, 0]
    assert ask(client, "describe", described(who=None))["name"].ravel().tolist() == [b"", b""]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"when": np.array([["soon"], ["2026-01-01"]], object)}, "input when takes times"),
        ({"who": np.array([[b"\xff"], [b"a"]], object)}, "input who holds bytes that are not"),
        ({"who": np.array([["nobody"], ["a"]], object)}, "ValueError: nobody is not a name"),
        ({"values": np.ones((2, 3), "f4")}, "'values' data-type is 'FP32'"),
        ({"blob": None}, "input blob is missing"),
    ],
)
def test_a_wrong_input_is_named(changes: Any, words: str, client: InferenceClient) -> None:
    with pytest.raises(ClocheError) as caught:
        ask(client, "describe", described(**changes))
    assert words in caught.value.what


def test_requests_are_joined_and_a_bad_one_harms_no_other(client: InferenceClient) -> None:
    def one(index: int) -> bool:
        rows, rich = 1 + index % 3, index % 2 == 0
        city = b"\xff" if index % 10 == 0 else "Rome"
        request = person(rows, income=9e4 if rich else 1e4, city=city)
        if city == b"\xff":
            with pytest.raises(ClocheError, match="input city"):
                ask(client, "people", request)
            return True
        answer = ask(client, "people", request)["output"]
        return answer.tolist() == [[b"yes" if rich else b"no"]] * rows

    before = document(client, "models/people/stats")["model_stats"][0]
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(160)))
    after = document(client, "models/people/stats")["model_stats"][0]
    answered = after["inference_count"] - before["inference_count"]
    assert after["execution_count"] - before["execution_count"] < answered / 2
