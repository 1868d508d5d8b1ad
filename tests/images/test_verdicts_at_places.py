"""What a run told of a model at a place in a cluster: shipped with it, and read for a plan."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny_base
from image_output import AMD64

from cloche.artifacts import Deployment
from cloche.clients.oci import reference as references
from cloche.images import verdicts
from cloche.images.bases.base import Base
from cloche.images.sources import remote
from cloche.pipeline import ship
from cloche.pipeline.image import push_image, registries
from cloche.pipeline.ship import Shipment
from cloche.progress import SilentProgress
from cloche.settings import Settings
from cluster.harness.access import CONTEXT
from cluster.harness.api_server import ApiServer
from fixtures.command_line import User, a_user
from fixtures.commands import Outcome
from fixtures.registries import nobody
from fixtures.saved_models import Saved, give_locks

MODEL = "digits.pt"
pytestmark = pytest.mark.timeout(900)


def test_a_revision_that_is_shipped_takes_it_along(
    told: Deployment, base: Base, settings: Settings, open_registry: str
) -> None:
    team = f"{open_registry}/t{uuid.uuid4().hex[:12]}"
    staging, prod = (references.parse(f"{team}/{place}/scores:1") for place in ("staging", "prod"))
    with registries(nobody()) as connections:
        built = push_image(
            told, [base], staging, connections, settings=settings, progress=SilentProgress()
        ).images[0]
        image = f"{staging.host}/{staging.name}@{built.descriptor.digest}"
        goal: Any = SimpleNamespace(connections=connections)
        ship.carry(Shipment(told, {image: prod}), goal, SilentProgress())
        registry = connections.at(prod.host)
        found = remote.read(registry, prod, AMD64)
        attached = remote.attached(registry, prod.name, built.descriptor.digest)
        assert found.digest == built.descriptor.digest
        expected = verdicts.of(told)
        assert expected is not None
        assert verdicts.read(found, attached) == verdicts.Read((expected,), ())


@dataclass(frozen=True)
class Planner:
    """Somebody with an empty home who plans for a namespace, whose images lie in one registry."""

    user: User
    kubeconfig: Path

    def run(self, verb: str, *words: str) -> Outcome:
        """Run a command for the place."""
        words = (verb, "--target", "test", "--json", *words)
        return self.user.run(*words, KUBECONFIG=str(self.kubeconfig), limit=300)

    def plan(self, *words: str) -> tuple[dict[str, Any], str]:
        """Return a plan, and what is said meanwhile."""
        done = self.run("plan", *words).expect(0)
        return done.json, done.err


@pytest.fixture(scope="module")
def registry(open_registry: str) -> str:
    """Where the images of the place lie."""
    return f"{open_registry}/t{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def planners(
    pytorch: Saved, api_server: ApiServer, registry: str
) -> Iterator[Callable[..., Planner]]:
    """Make somebody new, who plans for a namespace."""
    with ExitStack() as users:

        def make(namespace: str) -> Planner:
            user = users.enter_context(a_user())
            tiny_base.layout(user.folder / "base")
            shutil.copy(pytorch.folder / MODEL, user.folder)
            place = {
                "kind": "kubernetes", "context": CONTEXT, "namespace": namespace,
                "registry": registry, "base": "./base",
            }  # fmt: skip
            spec = pytorch.spec(MODEL, name="net", targets={"test": place})
            (user.folder / "cloche.yaml").write_text(json.dumps({**spec, "model": f"./{MODEL}"}))
            return Planner(user, api_server.kubeconfig)

        yield make


@pytest.fixture(scope="module")
def pushed(planners: Callable[..., Planner], namespace: str) -> Planner:
    """Whoever had the model converted, and its image pushed for the place."""
    one = planners(namespace)
    give_locks(one.user.home)
    _, said = one.plan("--out", "plan.json")
    assert "Converting" in said
    return one


@pytest.fixture(scope="module")
def namespace(api_server: ApiServer) -> str:
    """The namespace of the place."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    api_server.kubectl("create", "namespace", name)
    return name


def changes(plan: dict[str, Any]) -> dict[str, Any]:
    """What a plan changes, but for where the model lies on a machine."""
    return {each["field"]: each["after"] for each in plan["changes"] if each["field"] != "model"}


def test_a_plan_for_a_place_reads_what_lies_in_its_registry(
    pushed: Planner, planners: Callable[..., Planner], namespace: str
) -> None:
    """It is a stranger's, so that a deploy would find it out again; its image is the same."""
    stranger = planners(namespace)
    plan, said = stranger.plan()
    assert not any(words in said for words in ("Resolving", "Converting", "Asking"))
    (told,) = [each for each in plan["findings"] if each["code"] == "verdict.told"]
    assert "images.trusted" in told["hint"]
    assert changes(plan) == changes(pushed.plan()[0])
    give_locks(stranger.user.home)
    _, said = stranger.plan("--convert")
    assert "Converting" in said


def test_whoever_trusts_the_registry_goes_by_it(
    pushed: Planner, planners: Callable[..., Planner], namespace: str, registry: str
) -> None:
    trusting = planners(namespace)
    trusting.user.environment["CLOCHE_IMAGES_TRUSTED"] = registry
    plan, said = trusting.plan("--out", "plan.json")
    assert not any(words in said for words in ("Resolving", "Converting", "Asking"))
    assert "verdict.answer" in {each["code"] for each in plan["findings"]}
    assert plan["environments"] == []
    assert changes(plan) == changes(pushed.plan()[0])


def test_the_record_of_a_place_names_the_image(
    pushed: Planner, planners: Callable[..., Planner], namespace: str
) -> None:
    """Nothing runs there, so that the deploy never ends; what it wanted is recorded."""
    pushed.run("deploy", "--timeout", "5s").expect(1)
    plan, said = planners(namespace).plan()
    assert "Converting" not in said
    assert plan["undetermined"] == []
    assert "verdict.told" in {each["code"] for each in plan["findings"]}


def test_without_a_registry_it_is_found_out_here(
    planners: Callable[..., Planner], api_namespace: str
) -> None:
    alone = planners(api_namespace)
    give_locks(alone.user.home)
    spec = json.loads((alone.user.folder / "cloche.yaml").read_text())
    spec["targets"]["test"]["registry"] = "127.0.0.1:1/nowhere"
    (alone.user.folder / "cloche.yaml").write_text(json.dumps(spec))
    plan, said = alone.plan()
    assert "verdict.unread" in said
    assert plan["undetermined"] == []
