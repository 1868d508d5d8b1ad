"""What is known of NVIDIA's containers by their release."""

from __future__ import annotations

from dataclasses import replace

import onnx
import pytest

from cloche.errors import ClocheError, UsageError
from cloche.images.bases import ngc
from cloche.pipeline import base_image, cluster_package, replica_image
from formats.onnx_models import mlp


@pytest.mark.parametrize(
    ("release", "pythons", "glibc", "named"),
    [
        ("24.10", ("3.10",), "2.35", ["CVE-2026-24207", "CVE-2026-47481", "CVE-2026-47627"]),
        ("24.11", ("3.12",), "2.39", ["CVE-2026-24207", "CVE-2026-47481", "CVE-2026-47627"]),
        ("26.03", ("3.12",), "2.39", ["CVE-2026-47481", "CVE-2026-47627"]),
        ("26.06", ("3.12",), "2.39", []),
        ("26.06.1", ("3.12",), "2.39", []),
    ],
)
def test_a_release_with_open_doors_says_which(release, pythons, glibc, named):
    found = ngc.known(release)
    assert (found.pythons, found.glibc) == (pythons, glibc)
    assert f"Triton {release[:5]} is older than the security fixes of 26.07" in found.insecure
    assert [door for door in ngc._FIXED if door in found.insecure] == named


@pytest.mark.parametrize("release", ["26.07", "26.08"])
def test_a_release_without(release):
    assert ngc.known(release) == ngc.Release(("3.12",), "2.39", None)


@pytest.mark.parametrize("release", ["27.01", "2.71.0", "latest", "", None])
def test_what_nobody_looked_at_is_unknown(release):
    assert ngc.known(release) == ngc.Release((), None, None)


def test_where_no_base_is_named_it_is_a_release_that_may_be_used():
    assert ngc.known(ngc.OLDEST).insecure is None
    assert ngc.OLDEST in ngc.IMAGE


def test_a_release_that_is_asked_for_names_the_base() -> None:
    assert ngc.asked_for(None) == ngc.IMAGE
    assert ngc.asked_for("26.05") == "nvcr.io/nvidia/tritonserver:26.05-py3"


@pytest.mark.parametrize("release", ["20.01", "31.01"])
def test_a_release_of_which_nothing_is_known_is_refused(release: str) -> None:
    with pytest.raises(UsageError) as refused:
        ngc.asked_for(release)
    assert refused.value.code == "image.release"
    assert release in refused.value.what


def test_a_plan_here_says_what_a_release_is_for() -> None:
    said, doors = replica_image.release_findings("26.05")
    assert said.code == "server.release"
    assert "replicas here run Triton 24.10" in said.what
    assert "CVE-2026-47627" in doors.what
    assert replica_image.release_findings(None) == ()
    assert len(replica_image.release_findings(ngc.OLDEST)) == 1


def test_a_build_takes_the_base_of_the_release(tmp_path, run, monkeypatch) -> None:
    """Written in cloche.yaml; `--base` counts more."""
    onnx.save(mlp(), tmp_path / "scores.onnx")
    text = 'model: ./scores.onnx\nserver: {release: "26.05"}\n'
    (tmp_path / "cloche.yaml").write_text(text)
    asked = []

    def chosen(text: str, *_: object, **__: object) -> None:
        asked.append(text)
        raise ClocheError("test", "no further")

    monkeypatch.setattr(base_image, "chosen", chosen)
    run("image", "build", "--output", "out").expect(1)
    run("image", "build", "./scores.onnx", "--output", "out").expect(1)
    run("image", "build", "--base", "./base", "--output", "out").expect(1)
    assert asked == [ngc.image("26.05"), ngc.IMAGE, "./base"]


def test_a_service_in_a_cluster_says_what_its_server_lacks(deployment, base) -> None:
    software = replace(base.software, untrusted="Triton 26.05 lacks fixes")
    warned = cluster_package._warned(deployment, replace(base, software=software))
    (finding,) = (each for each in warned.warnings() if each.code == "image.network")
    assert finding.what == "Triton 26.05 lacks fixes."
    assert warned.digest == deployment.digest
    assert cluster_package._warned(deployment, base) == deployment
