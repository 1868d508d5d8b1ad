"""The Python client for a target: what the command line does, on real nodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cloche
from fixtures.cluster_users import KINDS, TARGET, ClusterUser
from fixtures.command_line import scaled_maximum

NAME = "largest"


def test_the_services_of_a_target(cluster_user: ClusterUser, tmp_path: Path) -> None:
    ann, model = cluster_user, tmp_path / "model.onnx"
    ann.declare(NAME, scaled_maximum(model, 2))
    file = ann.user.folder / "cloche.yaml"
    rows = np.array([[1, 3]], "f4")
    with cloche.Client(environment=ann.user.environment, target=TARGET, file=file) as client:
        first = client.deploy(file)
        assert (first.service, first.change, first.revision.phase) == (NAME, "revision", "live")
        assert first.http.startswith(f"http://{NAME}.{ann.namespace}.svc:8000/")
        assert client.infer(NAME, rows)["y"].tolist() == [[6.0]]
        assert client.deploy(file).change == "none"
        # A reference alone goes to the targets of the client's own file.
        again = client.deploy(scaled_maximum(model, 3), name=NAME)
        assert again.revision.number == 2
        assert client.infer(NAME, rows)["y"].tolist() == [[9.0]]
        assert client.verify(NAME).passed
        assert client.rollback(NAME).revision.number == 1
        assert [each.number for each in client.history(NAME)] == [1, 2]
        client.scale(NAME, 2)
        text = ann.kubectl("get", "deployment", f"{NAME}-r1", "-o", "jsonpath={.spec.replicas}")
        assert text == "2"
        stamp = client.restart(NAME)["restarted_at"]
        given = ann.kubectl("get", "deployment", f"{NAME}-r1", "-o", "json")
        assert stamp in given
        assert client.status()["services"][0]["service"] == NAME
        with pytest.raises(cloche.UsageError, match="nothing carries on"):
            client.deploy(file, wait=False)
        with pytest.raises(cloche.UsageError, match="not ended"):
            client.down()
        client.delete(NAME)
        assert client.status()["services"] == []
    assert ann.objects(KINDS) == []
