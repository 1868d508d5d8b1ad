"""A verdict that anybody may have written breaks no plan, and says nothing to a terminal."""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cloche import composition, pipeline, spec
from cloche.artifacts import (
    Deployment,
    Verdict,
    decode,
    encode,
)
from cloche.errors import ClocheError
from cloche.images import manifest, verdicts
from cloche.images.image import MANIFEST, Artifact, Attachment, Descriptor, SmallBlob
from cloche.images.sources import reading
from cloche.images.sources.reading import ReadImage
from cloche.pipeline import asked as asking
from cloche.pipeline import verdicts as known
from cloche.pipeline.image import write_image
from cloche.progress import SilentProgress
from cloche.settings import Settings

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, -2, 2**31, 2**63, 1e308, "", "x", "../x", "INT8", "onnx", "python",
    "a\nb", "\x1b[2J", [], {}, [0], ["x"], [-1, -1, 7], {"x": 1},
)  # fmt: skip


@dataclass(frozen=True)
class Plans:
    """Somebody who plans a model of which a stranger told something."""

    settings: Settings
    folder: Path
    image: ReadImage
    right: Verdict

    def artifact(self, data: bytes) -> Artifact:
        """Return a document beside the image."""
        attachment = Attachment(verdicts.ARTIFACT, (SmallBlob(data, verdicts.ARTIFACT),))
        return manifest.attached(attachment, Descriptor(MANIFEST, self.image.digest or "", 1))

    def of(self, verdict: Verdict) -> Deployment:
        """Return what is planned then; whatever is wrong is an error of Cloche's own."""
        assert known.give(verdict, "a.example/x:1", self.settings)
        return pipeline.foreseen(
            spec.from_reference(str(self.folder / "scores.onnx"), None, directory=self.folder),
            directory=self.folder, settings=self.settings, progress=SilentProgress(),
        )  # fmt: skip


@pytest.fixture
def plans(tmp_path: Path, told: Deployment, base: Any, settings: Settings) -> Plans:
    """One whose model is what `told` has."""
    made_of = spec.from_reference(str(tmp_path / "scores.onnx"), None, directory=tmp_path)
    given = asking.of(
        made_of, tmp_path, settings,
        progress=SilentProgress(), environment=os.environ, run_model=True,
    )  # fmt: skip
    deployment = replace(told, verdict=given.verdict)
    write_image(deployment, [base], tmp_path / "out", settings=settings, progress=SilentProgress())
    right = verdicts.of(deployment)
    assert right is not None
    store = composition.store(settings)
    assert right.conversion is not None
    store.put_tree(right.conversion.files)
    return Plans(settings, tmp_path, reading.read(tmp_path / "out"), right)


def test_a_right_one_tells_the_plan_all(plans: Plans) -> None:
    planned = plans.of(plans.right)
    assert planned.undetermined == ()
    assert planned.main.conversion == plans.right.conversion
    assert "verdict.told" in {each.code for each in planned.findings}


def test_one_that_does_not_fit_is_told_and_not_used(plans: Plans) -> None:
    (tensor,) = plans.right.facts.inputs
    other = replace(plans.right.facts, inputs=(replace(tensor, name="other"),))
    planned = plans.of(replace(plans.right, facts=other))
    assert planned.undetermined
    codes = {each.code for each in planned.findings}
    assert "verdict.unfit" in codes
    assert "verdict.told" not in codes


def mutated(document: Any, chance: random.Random) -> Any:
    """A document with one value somewhere in it replaced, left out or repeated."""
    places: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting:
        each = waiting.pop()
        keys = list(each) if isinstance(each, dict) else range(len(each))
        places += [(each, key) for key in keys]
        waiting += [each[key] for key in keys if isinstance(each[key], dict | list)]
    holder, key = chance.choice(places)
    how = chance.randrange(6)
    if how == 0:
        del holder[key]
    elif how == 1 and isinstance(holder, list):
        holder.append(holder[key])
    else:
        holder[key] = chance.choice(VALUES)
    return document


def test_no_change_of_one_breaks_a_plan(plans: Plans) -> None:
    chance = random.Random(20261127)
    taken = 0
    for _ in range(600):
        changed = json.loads(encode(plans.right))
        for _ in range(chance.choice((1, 1, 2, 3))):
            changed = mutated(changed, chance)
        data = json.dumps(changed).encode()
        found = verdicts.read(plans.image, [plans.artifact(data)])
        assert len(found.verdicts) + len(found.findings) == 1
        for verdict in found.verdicts:
            taken += 1
            assert "\x1b" not in str(verdict)
            decode(Verdict, encode(verdict))
            try:
                plans.of(replace(verdict, asked=plans.right.asked))
            except ClocheError as error:
                pytest.fail(f"{error} for {data.decode()}")
    assert taken > 50
