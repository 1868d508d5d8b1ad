"""cloche.lock: when it counts, and what is said where it does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fixtures.command_line import User, a_user, scaled_maximum

pytestmark = pytest.mark.timeout(300)
SPEC = {"name": "peak", "model": "./model.onnx"}


@pytest.fixture(scope="module")
def locked() -> Any:
    """Somebody with a model and its lock file, as they were in the beginning."""
    with a_user() as user:
        scaled_maximum(user.folder / "model.onnx", 2)
        (user.folder / "cloche.yaml").write_text(json.dumps(SPEC))
        user.run("plan", "--lock").expect(0)
        shutil.copytree(user.folder, user.folder.with_name("kept"))
        yield user


@pytest.fixture
def user(locked: User) -> User:
    shutil.copytree(locked.folder.with_name("kept"), locked.folder, dirs_exist_ok=True)
    shutil.rmtree(locked.home / "store", ignore_errors=True)
    return locked


def lock_of(user: User) -> Path:
    return user.folder / "cloche.lock"


def codes(user: User) -> set[str]:
    plan = user.run("plan", "--json").expect(0)
    return {finding["code"] for finding in plan.json["findings"]}


def test_a_plan_from_it_runs_nothing(user: User) -> None:
    prepared = user.home / "store" / "index" / "prepared"
    known = user.run("plan").expect(0)
    assert not prepared.exists()
    lock_of(user).unlink()
    assert "known after verification" in user.run("plan").expect(0).out
    assert not prepared.exists()
    found_out = user.run("plan", "--convert").expect(0)
    assert prepared.exists()
    assert known.out == found_out.out


def test_it_counts_for_just_what_it_was_made_from(user: User) -> None:
    assert "lock.outdated" not in codes(user)
    (user.folder / "cloche.yaml").write_text(
        json.dumps({**SPEC, "batching": {"max_batch_size": 4}})
    )
    assert "lock.outdated" in codes(user)
    assert "Written to" in user.run("plan", "--lock").expect(0).out
    assert "lock.outdated" not in codes(user)
    scaled_maximum(user.folder / "model.onnx", 3)
    assert "lock.outdated" in codes(user)
    user.run("plan", "--lock").expect(0)
    assert "lock.outdated" not in codes(user)
    assert len(json.loads(lock_of(user).read_text())["services"]["peak"]) == 1


def test_services_of_one_folder_share_it(user: User) -> None:
    (user.folder / "other.yaml").write_text(json.dumps({**SPEC, "name": "other"}))
    user.run("plan", "-f", "other.yaml", "--lock").expect(0)
    assert set(json.loads(lock_of(user).read_text())["services"]) == {"peak", "other"}
    assert "lock.outdated" not in codes(user)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<<<<<<< ours\n{}\n", "none that this version"),
        ('{"schema": 2, "services": {"peak": []}}', "another version"),
        ('{"schema": 1, "services": {"peak": {"x": {"cloche": 1}}}}', "none that this version"),
        ("[]", "none that this version"),
        ("", "none that this version"),
    ],
)
def test_what_is_no_lock_file_is_refused_and_written_anew(user: User, text: str, says: str) -> None:
    lock_of(user).write_text(text)
    refused = user.run("plan", "--json").expect(2).json["error"]
    assert refused["code"] == "lock.file"
    assert says in refused["what"]
    assert "--lock" in refused["hint"]
    user.run("plan", "--lock").expect(0)
    assert codes(user) == set()


def test_a_folder_that_cannot_be_written_to_is_told(user: User) -> None:
    lock_of(user).unlink()
    lock_of(user).mkdir()
    refused = user.run("plan", "--lock", "--json").expect(1).json["error"]
    assert refused["code"] == "lock.unwritable"
    lock_of(user).rmdir()
