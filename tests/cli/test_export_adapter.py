"""`cloche export prometheus-adapter`: rules for the whole cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cloche.targets.kubernetes.objects import horizontal


def declare(**more: str) -> None:
    place = {"kind": "kubernetes", "context": "test", "namespace": "vision", "registry": "r.test/x"}
    text = {"name": "digits", "model": "./digits.onnx", "targets": {"test": {**place, **more}}}
    Path("cloche.yaml").write_text(json.dumps(text))


@pytest.mark.parametrize(("interval", "seconds"), [({}, 15.0), ({"scrape_interval": "5s"}, 5.0)])
def test_it_prints_values_of_the_chart(run: Any, interval: dict[str, str], seconds: float) -> None:
    declare(autoscaler="prometheus-adapter", **interval)
    said = run("export", "prometheus-adapter", "--target", "test").expect(0)
    rules = horizontal.rules(seconds)
    assert YAML(typ="safe").load(said.out) == {"rules": {"custom": rules}}


def test_wrong_input(run: Any) -> None:
    declare(autoscaler="hpa")
    refused = run("export", "prometheus-adapter", "--target", "test").expect(2)
    assert "'keda' or 'prometheus-adapter'" in refused.err
    declare()
    refused = run("export", "prometheus-adapter", "--target", "nowhere").expect(2)
    assert "There is no target 'nowhere'" in refused.err
