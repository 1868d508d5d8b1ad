"""Tables and answers as MLflow's users have them, from the saved folder to answers of Triton."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from cloche import pipeline
from cloche.artifacts import Deployment, Judge, Lock, Member, RequestOrigin
from cloche.clients.kserve.client import InferenceClient
from cloche.clients.kserve.tensors import decode, encode
from cloche.errors import ClocheError
from cloche.inputs import missing
from cloche.inputs.declared import Declared, fit
from cloche.inputs.service_requests import request_parameters
from cloche.progress import SilentProgress
from cloche.spec import ServiceSpec
from cloche.store import Store
from cloche.verification import replay
from cloche.verification.reference import Interpreters
from fixtures.golden import examined

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloche.artifacts import Golden
    from fixtures.triton import TritonStarter

MODELS = (
    "numbered", "gaps", "nested", "power", "dates", "tickets", "centred", "echo", "responses",
    "ragged", "greeting", "answered",
)  # fmt: skip


@dataclass(frozen=True)
class Served:
    """The deployments after their trial, and the Triton that serves them."""

    store: Store
    deployments: dict[str, Deployment]
    client: InferenceClient
    place: Path
    """The folder that the server stands in."""

    def ask(self, model: str, given: Any, **parameters: Any) -> dict[str, Any]:
        main = self.deployments[model].repository.main
        body, length = encode(
            fit(Declared.of(main), given), binary=True, parameters=request_parameters(parameters)
        )
        answer = self.client.infer(model, body, length)
        outputs = missing.with_gaps(decode(answer.body, answer.header_length), main.outputs)
        return {name: array.ravel().tolist() for name, array in outputs.items()}


def tried(path: Path, lock: Lock, store: Store, pythons: Interpreters) -> Deployment:
    """Return the deployment of a folder, as `pipeline.prepare` makes it."""
    snapshot = pipeline.resolve(
        str(path), directory=path.parent, store=store, progress=SilentProgress(), environment={}
    )
    spec = ServiceSpec.model_validate({"model": str(path)})
    facts = pipeline.facts(snapshot, store)
    draft = pipeline.build(path.name, snapshot, facts, lock, spec, store)
    deployed = Deployment(path.name, (Member(path.name, snapshot, facts, lock),), draft)
    found = examined(deployed, store, pythons)
    built = pipeline.build(path.name, snapshot, found.facts, lock, spec, store)
    member = replace(deployed.main, facts=found.facts)
    made: Golden = found.golden(built.main, store)
    return replace(deployed, members=(member,), repository=built, golden=made)


@pytest.fixture(scope="module")
def served(
    saved_tables: tuple[Lock, Path, Path],
    triton_starter: TritonStarter,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    lock, environment, folder = saved_tables
    store = Store(tmp_path_factory.mktemp("tables") / "store", 2**30)
    pythons = Interpreters(triton_starter.installation.interpreter, environment / "bin" / "python")
    made = {name: tried(folder / name, lock, store, pythons) for name in MODELS}
    files = tuple(entry for one in made.values() for entry in one.repository.files)
    running = triton_starter.start(
        store.tree_path(store.put_tree(files)), MODELS, environment=environment
    )
    with InferenceClient(running.url) as client:
        yield Served(store, made, client, running.serving)
    running.stop()


@pytest.mark.parametrize(
    ("model", "origin", "judge"),
    [
        ("numbered", RequestOrigin.STORED, Judge.REFERENCE),
        ("gaps", RequestOrigin.STORED, Judge.REFERENCE),
        ("nested", RequestOrigin.STORED, Judge.REFERENCE),
        ("power", RequestOrigin.STORED, Judge.REFERENCE),
        ("dates", RequestOrigin.MADE, Judge.REFERENCE),
        ("tickets", RequestOrigin.STORED, Judge.TYPES),
        ("centred", RequestOrigin.STORED, Judge.REFERENCE),
        ("echo", RequestOrigin.STORED, Judge.REFERENCE),
        ("responses", RequestOrigin.STORED, Judge.REFERENCE),
        ("ragged", RequestOrigin.STORED, Judge.REFERENCE),
        ("greeting", RequestOrigin.MADE, Judge.REFERENCE),
        ("answered", RequestOrigin.STORED, Judge.REFERENCE),
    ],
)
def test_what_is_served_is_what_mlflow_answers(
    model: str, origin: RequestOrigin, judge: Judge, served: Served
) -> None:
    deployed = served.deployments[model]
    assert deployed.golden is not None
    assert (deployed.golden.origin, deployed.golden.judge) == (origin, judge)
    done = replay.verify(
        deployed.golden, served.client.base_url, model=deployed.repository.main, store=served.store
    )
    assert done.passed, done.detail


def test_columns_that_are_numbers(served: Served) -> None:
    assert served.ask("numbered", pd.DataFrame([[3.0, 1.0, 9.0]]))["output"] == pytest.approx([1])


def test_values_are_missing_both_ways(served: Served) -> None:
    answer = served.ask("gaps", pd.DataFrame({"city": ["Bern", None]}))
    assert answer == {"known": [True, False], "upper": [b"BERN", None], "size": [4, None]}


def test_truth_values_are_missing_both_ways(served: Served) -> None:
    answer = served.ask("answered", pd.DataFrame({"ok": [None, True, False]}))
    assert answer == {"ok": [None, True, False]}


def test_structures_are_json_both_ways(served: Served) -> None:
    answer = served.ask("nested", [{"values": [1.0]}, {"values": []}])
    assert answer["output"] == [b'{"doubled": [2.0]}', b'{"doubled": []}']


def test_parameters_are_passed_and_checked(served: Served) -> None:
    assert served.ask("power", {"x": [3.0]}, power=3, weights=[1.0, 1.0])["output"] == [54.0]
    assert served.ask("power", {"x": [3.0]})["output"] == [9.0]
    with pytest.raises(ClocheError, match="no parameter pwr; it has power, weights"):
        served.ask("power", {"x": [3.0]}, pwr=3)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"power": "three"}, 'the parameter power takes long, and "three" is none'),
        ({"power": 2.5}, "the parameter power takes long, and 2.5 is none"),
        ({"weights": "half"}, r"weights takes a list of double as JSON, such as \[0.5, 0.5\]"),
        ({"weights": [1.0, "a"]}, "the parameter weights takes a list of double"),
        ({"weights": {"a": 1}}, "the parameter weights takes a list of double"),
    ],
)
def test_a_parameter_of_another_type_is_the_clients_mistake(
    given: dict[str, Any], words: str, served: Served
) -> None:
    with pytest.raises(ClocheError, match=words) as refused:
        served.ask("power", {"x": [3.0]}, **given)
    assert "status 400" in refused.value.what


def test_what_mlflow_refuses_by_its_schema_is_the_clients_mistake(served: Served) -> None:
    with pytest.raises(ClocheError, match="Failed to enforce schema") as refused:
        served.ask("echo", {"messages": [{"content": "no role"}]})
    assert "status 400" in refused.value.what


@pytest.mark.parametrize(
    ("x", "words", "status"),
    [(-1.0, "x is not negative", 400), (101.0, "ValueError: x was never seen as large", 500)],
)
def test_a_model_says_itself_whose_mistake_it_is(
    x: float, words: str, status: int, served: Served
) -> None:
    with pytest.raises(ClocheError, match=words) as refused:
        served.ask("power", {"x": [x]}, power=2)
    assert f"status {status}" in refused.value.what


def test_a_conversation_is_one_request(served: Served) -> None:
    facts = served.deployments["echo"].main.facts
    assert {spec.name: spec.shape for spec in facts.inputs if spec.name in {"messages", "n"}} == {
        "messages": (1, -1), "n": (1, 1),
    }  # fmt: skip
    messages = [{"role": "user", "content": "a"}, {"role": "user", "content": "abc"}]
    answer = served.ask("echo", {"messages": messages, "temperature": 0.5, "stop": ["x", "y"]})
    assert '"content": "cba"' in answer["choices"][0].decode()
    assert (answer["id"], answer["created"], answer["usage"]) == ([None], [7], [None])


def test_lists_of_unequal_length_both_ways(served: Served) -> None:
    assert served.deployments["ragged"].repository.main.max_batch_size > 1
    table = pd.DataFrame({
        "x": [[1.0], [], [2.0, 3.0]],
        "words": [["a", "b"], ["c"], []],
        "deep": [[[1.0, 2.0], []], [], [[3.0]]],
        "said": [[{"role": "x"}], [], [{"role": "y"}, {"role": "z"}]],
    })  # fmt: skip
    assert served.ask("ragged", table) == {
        "words": [b"a,b", b"c", b""],
        "twice": [[2.0], [], [4.0, 6.0]],
        "deep": [[[1.0, 2.0], []], [], [[3.0]]],
        "roles": [b"x", b"", b"yz"],
    }


def test_an_answer_without_a_name_is_whole(served: Served) -> None:
    given = {"input": [{"role": "user", "content": "abc"}], "custom_inputs": {"a": [1]}}
    (answer,) = served.ask("responses", given)["output"]
    document = json.loads(answer)
    assert document["output"][0]["content"][0]["text"] == "cba"
    assert document["custom_outputs"] == {"a": [1]}


def test_agents_of_mlflow_write_no_traces_where_the_server_stands(served: Served) -> None:
    served.ask("responses", {"input": [{"role": "user", "content": "abc"}]})
    assert not [path.name for path in served.place.iterdir() if path.name.startswith("ml")]


def test_dates_are_iso_8601_and_outputs_are_found_by_a_run(served: Served) -> None:
    facts = served.deployments["dates"].main.facts
    assert [(spec.name, spec.datatype) for spec in facts.outputs] == [
        ("next", "BYTES"), ("weekday", "BYTES"),
    ]  # fmt: skip
    answer = served.ask("dates", {"since": np.array(["2026-01-31T12:00"], "M8[ns]")})
    assert answer == {"next": [b"2026-02-01T12:00:00"], "weekday": [b"Sunday"]}


def test_rows_that_depend_on_each_other_come_alone(served: Served) -> None:
    deployed = served.deployments["centred"]
    assert deployed.repository.main.max_batch_size == 0
    assert any("one by one" in warning.what for warning in deployed.warnings())
    assert served.ask("centred", {"x": [1.0, 3.0]})["output"] == [-1.0, 1.0]


def test_a_name_that_the_model_does_not_return_stops_the_deploy(
    saved_tables: tuple[Lock, Path, Path], served: Served, triton_starter: TritonStarter
) -> None:
    lock, environment, folder = saved_tables
    pythons = Interpreters(triton_starter.installation.interpreter, environment / "bin" / "python")
    with pytest.raises(ClocheError, match="declares up as well") as caught:
        tried(folder / "names", lock, served.store, pythons)
    assert caught.value.code == "golden.outputs"
