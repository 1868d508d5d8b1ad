"""NVIDIA's versions, releases and rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.nvidia import RELEASES, Capability, Cuda, Driver, Software, Verdict, judge, known
from cloche.nvidia.compatibility import BRANCHES, MINIMUM

T4, V100 = Capability(7, 5), Capability(7, 0)


def driver(text: str) -> Driver:
    found = Driver.parse(text)
    assert found is not None
    return found


# ── versions ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", ["580.95.05", "535.183", "450.80.02", "1000.1.1"])
def test_a_version_is_written_as_it_was(text: str) -> None:
    assert str(driver(text)) == text


@pytest.mark.parametrize("text", ["", "R535", "535", "v535.1", "535.1.2.3", "535..2", "latest"])
def test_a_driver_of_another_form_is_unknown(text: str) -> None:
    assert Driver.parse(text) is None


@given(st.text(max_size=30))
def test_no_text_makes_a_version_fail(text: str) -> None:
    Driver.parse(text)
    Cuda.parse(text)
    known(text)


@given(st.tuples(*[st.integers(100, 999), st.integers(0, 999), st.integers(0, 999)] * 2))
def test_versions_are_ordered_as_numbers(parts: tuple[int, ...]) -> None:
    one, other = (".".join(map(str, each)) for each in (parts[:3], parts[3:]))
    assert driver(one).is_before(driver(other)) == (parts[:3] < parts[3:])


def test_cuda_is_read_from_longer_versions() -> None:
    assert Cuda.parse("13.0.0.044") == Cuda(13, 0)
    assert Cuda.parse("12.6") == Cuda(12, 6)
    assert Cuda.parse("12") is None
    assert Cuda.parse(None) is None


# ── releases ──────────────────────────────────────────────────────────────────────────────────


def test_releases_are_ordered_and_known_once() -> None:
    names = [release.name for release in RELEASES]
    assert names == sorted(set(names))
    cudas = [release.cuda for release in RELEASES]
    assert cudas == sorted(cudas)
    assert all(release.source for release in RELEASES)
    assert {release.cuda.major for release in RELEASES} <= MINIMUM.keys()


@pytest.mark.parametrize(
    ("name", "cuda", "capability"),
    [
        ("24.10", Cuda(12, 6), Capability(6, 0)),
        ("26.07", Cuda(13, 3), Capability(7, 5)),
        ("26.07.1", Cuda(13, 3), Capability(7, 5)),
        ("26.08", Cuda(13, 4), Capability(7, 5)),
        ("26.09", Cuda(13, 4), Capability(7, 5)),
        ("24.12", Cuda(12, 6), None),
    ],
)
def test_what_a_release_holds(name: str, cuda: Cuda, capability: Capability | None) -> None:
    release = known(name)
    assert release is not None
    assert (release.cuda, release.capability) == (cuda, capability)


# ── rules ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("cuda", "has", "data_centre", "verdict"),
    [
        ("12.6", "560.35.03", None, Verdict.NATIVE),
        ("12.6", "525.60.13", None, Verdict.NATIVE),
        ("12.6", "525.60.11", None, Verdict.REFUSED),
        ("12.6", "470.57.02", True, Verdict.FORWARD_COMPATIBLE),
        ("12.6", "470.57.02", False, Verdict.REFUSED),
        ("12.6", "470.57.02", None, Verdict.UNKNOWN),
        ("12.6", "510.47.03", True, Verdict.REFUSED),
        # The pain that issues tell of: CUDA 12.1 on the driver that comes with CUDA 11.8.
        ("12.1", "520.61.05", True, Verdict.REFUSED),
        ("11.8", "450.80.02", None, Verdict.NATIVE),
        ("11.8", "450.51.06", True, Verdict.REFUSED),
        ("13.3", "580.65.06", None, Verdict.NATIVE),
        ("13.3", "535.183.01", True, Verdict.FORWARD_COMPATIBLE),
        ("13.3", "545.23.08", True, Verdict.REFUSED),
        ("13.3", "610.43.02", None, Verdict.NATIVE),
        ("14.0", "610.43.02", None, Verdict.UNKNOWN),
    ],
)
def test_which_driver_runs_which_cuda(
    cuda: str, has: str, data_centre: bool | None, verdict: Verdict
) -> None:
    found = judge(Software(Cuda.parse(cuda)), driver(has), None, data_centre=data_centre)
    assert found.verdict is verdict
    assert found.why
    assert (found.source is None) == (cuda == "14.0")


@pytest.mark.parametrize(
    ("cuda", "has", "by_compatibility"),
    [("13.3", "580.95.05", True), ("13.3", "610.43.02", False), ("13.4", "610.43.02", True),
     ("13.4", "615.61", False),
     ("12.4", "535.183.01", True), ("12.4", "550.54.15", False)],
)  # fmt: skip
def test_a_driver_of_an_older_cuda_is_said(cuda: str, has: str, by_compatibility: bool) -> None:
    found = judge(Software(Cuda.parse(cuda)), driver(has), None, data_centre=None)
    assert found.verdict is Verdict.NATIVE
    assert ("minor-version" in found.why) == by_compatibility


def test_a_gpu_may_be_too_old() -> None:
    software = Software(Cuda(13, 3), "26.07")
    old = judge(software, driver("580.95.05"), V100, data_centre=True)
    assert (old.verdict, "7.0" in old.why) == (Verdict.REFUSED, True)
    assert judge(software, driver("580.95.05"), T4, data_centre=True).verdict is Verdict.NATIVE


def test_what_is_not_said_is_unknown() -> None:
    assert judge(Software(), driver("450.1"), T4, data_centre=None).verdict is Verdict.UNKNOWN
    software = Software(Cuda(13, 3), "26.07")
    assert judge(software, None, None, data_centre=None).verdict is Verdict.UNKNOWN


@given(
    st.sampled_from([release.cuda for release in RELEASES]),
    st.sampled_from(BRANCHES),
    st.integers(0, 200),
    st.sampled_from([True, False, None]),
)
def test_a_newer_driver_is_never_worse_than_the_minimum(
    cuda: Cuda, branch: int, minor: int, data_centre: bool | None
) -> None:
    has = driver(f"{branch}.{minor}.99")
    found = judge(Software(cuda), has, None, data_centre=data_centre)
    is_native = not has.is_before(MINIMUM[cuda.major])
    assert (found.verdict is Verdict.NATIVE) == is_native
