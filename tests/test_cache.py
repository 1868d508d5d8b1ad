"""The cache keeps to its size by itself, and keeps what is needed."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cloche import cache, composition, pipeline, spec, testing
from cloche.artifacts import BuiltWheel, Consent, Deployment, Lock, Operated, digest_of
from cloche.progress import SilentProgress
from cloche.settings import Settings
from cloche.targets.local.envoy import installation as envoy

SIZE = 300_000
"""Bytes of each model's weights."""


def prepare(settings: Settings, folder: Path, name: str, seed: int) -> Deployment:
    path = folder / f"{name}.onnx"
    values = np.random.default_rng(seed).random((1, SIZE // 4)).astype(np.float32)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", SIZE // 4])]
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])], "m", inputs, outputs,
        [numpy_helper.from_array(values, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return pipeline.prepare(
        spec.from_reference(str(path), name),
        directory=folder, settings=settings, progress=SilentProgress(), run_model=False,
    )  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "home").mkdir()
    return Settings(home=tmp_path / "home", cache_max_size=int(2.5 * SIZE))


def age(settings: Settings) -> None:
    """Have everything in the store be used two hours ago."""
    before = time.time() - 7200
    store = settings.home / "store"
    for path in store.rglob("*"):
        if path.is_file():
            # The time of writing is a mark that a stored file is untouched, so it stays.
            written = before if path.is_relative_to(store / "index") else path.stat().st_mtime
            os.utime(path, (before, written))


def held(settings: Settings, *prepared: Deployment) -> list[bool]:
    store = composition.store(settings)
    return [store.whole(one.repository.digest) for one in prepared]


def record(settings: Settings, *made: Deployment) -> None:
    """Have these be the revisions of a service, the last one live."""
    with closing(composition.state(settings)) as state:
        engine = testing.engine(state=state)
        for one in made:
            engine.deploy(one, accept=[Consent.INTERFACE])  # each is called otherwise
            testing.settle(engine)


def test_the_cache_says_which_revisions_need_an_entry(settings: Settings, tmp_path: Path) -> None:
    first, other = prepare(settings, tmp_path, "one", 1), prepare(settings, tmp_path, "two", 2)
    second = prepare(settings, tmp_path, "one", 3)
    record(settings, first, second)
    record(settings, other)
    holders = cache.holders(settings)
    assert holders[first.repository.digest] == [("one", 1)]
    assert holders[second.main.snapshot.digest] == [("one", 2)]
    assert holders[other.repository.digest] == [("two", 1)]
    assert set(holders) == cache.needed_digests(settings)


def test_the_longest_unused_goes_when_another_model_needs_the_room(
    settings: Settings, tmp_path: Path
) -> None:
    one = prepare(settings, tmp_path, "one", 1)
    two = prepare(settings, tmp_path, "two", 2)
    assert held(settings, one, two) == [True, True]
    age(settings)
    three = prepare(settings, tmp_path, "three", 3)
    assert held(settings, three) == [True]
    assert composition.store(settings).size() <= settings.cache_max_size


def test_what_a_revision_needs_stays(settings: Settings, tmp_path: Path) -> None:
    one = prepare(settings, tmp_path, "one", 1)
    record(settings, one)
    two = prepare(settings, tmp_path, "two", 2)
    age(settings)
    three = prepare(settings, tmp_path, "three", 3)
    assert held(settings, one, two, three) == [True, False, True]


def test_what_can_be_brought_back_stays_and_what_is_older_does_not(
    settings: Settings, tmp_path: Path
) -> None:
    made = [prepare(settings, tmp_path, f"m{number}", number) for number in range(4)]
    revisions = [
        dataclasses.replace(
            one,
            service="digits",
            repository=dataclasses.replace(one.repository, service="digits"),
            operated=Operated(keep=2),
        )
        for one in made
    ]
    record(settings, *revisions)
    age(settings)
    cache.clean(settings, 0)
    assert held(settings, *made) == [False, False, True, True]


def test_what_was_used_a_moment_ago_stays(settings: Settings, tmp_path: Path) -> None:
    made = [prepare(settings, tmp_path, f"m{number}", number) for number in range(4)]
    assert held(settings, *made) == [True] * 4


def environment_of(settings: Settings, lock: Lock, *, days: float) -> Path:
    """Stand in for an environment that was asked for some days ago."""
    folder = settings.home / "environments" / lock.digest.removeprefix("sha256:")
    folder.mkdir(parents=True)
    (folder / ".complete").write_text(lock.digest)
    since = time.time() - days * 86400
    os.utime(folder / ".complete", (since, since))
    return folder


LOCKS = [Lock(digest_of(bytes([number])), "3.11", "") for number in range(3)]


def test_environments_go_after_a_month_without_use(settings: Settings, tmp_path: Path) -> None:
    one = prepare(settings, tmp_path, "one", 1)
    made = one
    member = dataclasses.replace(made.main, lock=LOCKS[0])
    record(settings, dataclasses.replace(made, members=(member,)))
    needed = environment_of(settings, LOCKS[0], days=50)
    old = environment_of(settings, LOCKS[1], days=50)
    recent = environment_of(settings, LOCKS[2], days=5)
    assert {one.digest for one in cache.usage(settings) if one.kept} >= {LOCKS[0].digest}
    cleaned = cache.clean(settings)
    assert [one.digest for one in cleaned.removed] == [LOCKS[1].digest]
    assert [path.exists() for path in (needed, old, recent)] == [True, False, True]
    cleaned = cache.clean(settings, 0)
    assert LOCKS[2].digest in {one.digest for one in cleaned.removed}
    assert [path.exists() for path in (needed, recent)] == [True, False]


def test_what_a_deploy_under_way_has_asked_for_stays(settings: Settings) -> None:
    with cache.under_way(settings):
        folder = environment_of(settings, LOCKS[0], days=-0.001)
        cache.clean(settings, 0)
        assert folder.exists()


def test_servers_of_an_earlier_version_go_when_nothing_runs_from_them(settings: Settings) -> None:
    servers = settings.home / "servers"
    idle, busy = servers / "envoy-1.0.0", servers / "triton-1.0-py3.12-abc"
    for folder in (idle, busy):
        folder.mkdir(parents=True)
        shutil.copy("/bin/sleep", folder / "server")
    current = servers / f"envoy-{envoy.VERSION}"
    current.mkdir()
    cache.clean(settings)
    assert idle.exists()
    process = subprocess.Popen([busy / "server", "60"])
    try:
        cleaned = cache.clean(settings, 0)
    finally:
        process.kill()
        process.wait()
    assert [one.label for one in cleaned.removed] == ["envoy-1.0.0"]
    assert [folder.exists() for folder in (idle, busy, current)] == [False, True, True]


def test_a_package_that_was_built_for_a_revision_stays(settings: Settings, tmp_path: Path) -> None:
    """No index has it: the environment of the revision could not be made again."""
    store = composition.store(settings)
    kept, other = (store.add_bytes(bytes([n]) * 1000) for n in (1, 2))
    wheel = BuiltWheel("alone", "1.0", "alone-1.0-py3-none-any.whl", kept, 1000)
    lock = Lock(digest_of(b"lock"), "3.11", f"alone==1.0 --hash={kept}\n", built=(wheel,))
    one = prepare(settings, tmp_path, "one", 1)
    member = dataclasses.replace(one.main, lock=lock)
    record(settings, dataclasses.replace(one, members=(member,)))
    age(settings)
    cache.clean(settings, 0)
    assert (store.use(kept), store.use(other)) == (True, False)
