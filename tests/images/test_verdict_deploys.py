"""A machine that pulled an image knows what runs of its model told: plans and deploys there."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_base

from cloche import composition
from fixtures.command_line import User, a_user
from fixtures.saved_models import Saved, give_locks

pytestmark = pytest.mark.timeout(900)
MODEL = "digits.pt"
LATER = "known after verification"


@pytest.fixture(scope="module")
def first(pytorch: Saved) -> Iterator[User]:
    """Whoever builds the image."""
    with a_user() as one:
        give_locks(one.home)
        tiny_base.layout(one.folder / "base")
        yield one


@pytest.fixture(scope="module")
def image(first: User, pytorch: Saved, open_registry: str) -> str:
    """The image of a model that was converted for it."""
    written(first, pytorch)
    reference = f"{open_registry}/t{uuid.uuid4().hex[:12]}/net:1"
    built = first.run("image", "build", "--base", "./base", "--push", "--tag", reference, "--json")
    (verdict,) = built.expect(0).json["verdicts"]
    assert verdict["parity"]
    return reference


@pytest.fixture
def second(pytorch: Saved) -> Iterator[User]:
    """Somebody with an empty home and the same model on another machine."""
    with a_user() as one:
        written(one, pytorch)
        yield one


@pytest.fixture
def trusting(second: User, image: str) -> User:
    """The same, who trusts where the image lies, and has pulled it."""
    second.environment["CLOCHE_IMAGES_TRUSTED"] = image.rpartition("/")[0]
    pulled = second.run("image", "pull", image, "./pulled", "--json").expect(0).json
    assert pulled["trusted"]
    return second


@pytest.fixture
def bare(pytorch: Saved, image: str) -> Iterator[User]:
    """The same, who has no environment at all."""
    with a_user(cleans=True) as one:
        written(one, pytorch)
        one.environment["CLOCHE_IMAGES_TRUSTED"] = image.rpartition("/")[0]
        one.run("image", "pull", image, "./pulled", "--json").expect(0)
        yield one


def written(user: User, saved: Saved, **more: object) -> None:
    shutil.copy(saved.folder / MODEL, user.folder)
    spec = saved.spec(MODEL, **{"name": "net", **more}) | {"model": f"./{MODEL}"}
    (user.folder / "cloche.yaml").write_text(json.dumps(spec))


def plan_of(user: User, *words: str) -> dict[str, Any]:
    plan: dict[str, Any] = user.run("plan", *words, "--json").expect(0).json
    return plan


def changes(plan: dict[str, Any]) -> dict[str, Any]:
    """What a plan changes, but for where the model lies on a machine."""
    return {each["field"]: each["after"] for each in plan["changes"] if each["field"] != "model"}


def codes(report: dict[str, Any]) -> set[str]:
    return {finding["code"] for finding in report["findings"]}


def indexed(user: User) -> set[str]:
    return {path.name for path in (user.home / "store" / "index").iterdir()}


def verdict_of(user: User) -> Path:
    """The file of the only verdict in a home."""
    (found,) = (user.home / "store" / "index" / "verdict").iterdir()
    return found


def test_a_plan_knows_it_and_a_trusting_deploy_goes_by_it(
    first: User, bare: User, image: str
) -> None:
    """No environment is made: what judges it came with the image, and all that show it say so."""
    known = plan_of(bare)
    assert changes(known) == changes(plan_of(first))
    assert {"verdict.told", "verdict.answer", "conversion.done"} <= codes(known)
    assert known["undetermined"] == []
    assert known["environments"] == []
    assert not {"conversion", "prepared"} & indexed(bare)
    inspected = bare.run("inspect", "--json").expect(0).json["facts"]
    assert inspected["backend"] == "onnxruntime"
    done = bare.run("deploy", "--json").expect(0)
    assert not any(words in done.err for words in ("Resolving", "Converting", "Asking", "Making"))
    assert "conversion" not in indexed(bare)
    verified = bare.run("verify", "net", "--json").expect(0).json
    for each in (done.json["verification"], verified):
        assert (each["passed"], each["judge"]) == (True, "reference")
        assert each["answer_from"] == image
    for verb in ("verify", "status", "events"):
        shown = " ".join(bare.run(verb, "net").expect(0).out.split())
        assert f"own framework on another machine, as {image} tells" in shown
    assert "reference (elsewhere)" in bare.run("history", "net").expect(0).out
    assert "verdict.told" in codes(plan_of(bare))
    assert plan_of(bare)["kind"] == "none"
    assert not (bare.home / "environments").exists()


def test_a_wrong_answer_of_the_image_lets_nothing_go_live(bare: User, image: str) -> None:
    """And without the trust the model's own framework is asked here."""
    found = json.loads(verdict_of(bare).read_text())
    golden = found["verdict"]["golden"]
    body = golden["expected"]
    path = next((bare.home / "store").rglob(body["digest"].removeprefix("sha256:")))
    data = bytearray(path.read_bytes())
    data[-3:] = b"\x41\x41\x41"
    store = composition.store(bare.settings)
    body["digest"] = store.add_bytes(bytes(data))
    verdict_of(bare).write_text(json.dumps(found))
    refused = bare.run("deploy", "--json").expect(1).json
    assert "images.trusted" in json.dumps(refused)
    assert bare.run("status", "--json").expect(0).json["services"][0]["live"] is None


def test_without_the_right_answer_it_is_asked_here(trusting: User) -> None:
    golden = json.loads(verdict_of(trusting).read_text())["verdict"]["golden"]
    digest = golden["expected"]["digest"].removeprefix("sha256:")
    for path in (trusting.home / "store").rglob(digest):
        path.unlink()
    plan = plan_of(trusting)
    (said,) = [each for each in plan["findings"] if each["code"] == "verdict.asked_here"]
    assert "right answer is not on this machine" in said["what"]
    assert len(plan["environments"]) == 1
    done = trusting.run("deploy", "--json").expect(0)
    assert "Asking the model" in done.err
    assert "Converting" not in done.err
    assert done.json["verification"]["answer_from"] is None


def test_other_batches_than_there_are_asked_here(trusting: User, pytorch: Saved) -> None:
    written(trusting, pytorch, batching={"max_batch_size": 1})
    (said,) = [e for e in plan_of(trusting)["findings"] if e["code"] == "verdict.asked_here"]
    assert "joined otherwise" in said["what"]


def test_another_example_is_found_out_here(trusting: User, image: str) -> None:
    shutil.copy(trusting.folder / "cloche.yaml", trusting.folder / "other.yaml")
    (trusting.folder / "one.json").write_text(json.dumps({"x": [[0.5] * 64]}))
    plan = plan_of(trusting, "-f", "other.yaml", "--example", "one.json")
    assert plan["undetermined"]
    (said,) = [each for each in plan["findings"] if each["code"] == "verdict.other"]
    assert image in said["what"]


def test_what_went_by_an_image_is_made_again_without_the_trust(trusting: User) -> None:
    told = trusting.run("deploy", "--json").expect(0).json
    assert told["verification"]["answer_from"]
    trusting.environment["CLOCHE_IMAGES_TRUSTED"] = ""
    (said,) = [e for e in plan_of(trusting)["findings"] if e["code"] == "verdict.told"]
    assert "images.trusted" in said["hint"]
    give_locks(trusting.home)
    done = trusting.run("deploy", "--json").expect(0)
    assert "Converting" in done.err
    assert done.json["change"] == "none"


def test_it_holds_for_the_model_whatever_the_service_is_called(trusting: User) -> None:
    (trusting.folder / "other.yaml").write_text(
        (trusting.folder / "cloche.yaml").read_text().replace('"net"', '"other"')
    )
    assert plan_of(trusting, "-f", "other.yaml")["undetermined"] == []
    asked_otherwise = json.loads((trusting.folder / "cloche.yaml").read_text())
    spec = json.dumps({**asked_otherwise, "tolerance": 1e-3})
    (trusting.folder / "other.yaml").write_text(spec)
    assert LATER in changes(plan_of(trusting, "-f", "other.yaml")).values()


def test_a_stranger_tells_a_plan_and_no_deploy(second: User, image: str) -> None:
    give_locks(second.home)
    assert LATER in changes(plan_of(second)).values()
    pulled = second.run("image", "pull", image, "./pulled").expect(0)
    assert "a deploy finds it out again" in pulled.out
    plan = plan_of(second)
    assert plan["undetermined"] == []
    (said,) = [each for each in plan["findings"] if each["code"] == "verdict.told"]
    assert "images.trusted" in said["hint"]
    second.run("deploy", "--json").expect(0)
    assert "conversion" in indexed(second)
    after = plan_of(second)
    assert after["kind"] == "none"
    assert not {"verdict.told", "verdict.differs"} & codes(after)


def test_what_a_run_here_contradicts_is_told(second: User, image: str) -> None:
    give_locks(second.home)
    second.run("image", "pull", image, "./pulled").expect(0)
    forged = json.loads(verdict_of(second).read_text())
    batch = forged["verdict"]["facts"]["batch"]
    batch["present"], batch["why"] = False, "a stranger says so"
    verdict_of(second).write_text(json.dumps(forged))
    done = second.run("deploy", "--json").expect(0).json
    assert done["verification"]["passed"]
    assert "verdict.differs" in codes(done)


def test_without_the_converted_files_it_is_converted_here(trusting: User) -> None:
    """A verdict alone promises nothing that this machine cannot do."""
    store = trusting.home / "store"
    for folder in ("blobs", "trees", "index/tree", "index/stat"):
        shutil.rmtree(store / folder, ignore_errors=True)
    plan = plan_of(trusting)
    assert set(plan["undetermined"]) == {"config.max_batch_size", "repository.digest"}
    assert "conversion.done" in codes(plan)
    done = trusting.run("deploy", "--json").expect(0)
    assert "Converting" in done.err
    assert done.json["verification"]["passed"]


def test_the_image_of_a_service_has_it_too(first: User, image: str, tmp_path: Path) -> None:
    first.run("deploy", "--json").expect(0)
    words = ("image", "build", "net", "--base", "./base", "--output", tmp_path / "out", "--json")
    built = first.run(*words).expect(0).json
    assert len(built["verdicts"]) == 1
    shown = first.run("image", "inspect", tmp_path / "out", "--json").expect(0).json
    assert shown["verdicts"] == built["verdicts"]
    bare = first.run(*words[:-1], "--no-golden", "--json").expect(0).json
    assert bare["verdicts"] == built["verdicts"]
