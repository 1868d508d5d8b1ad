"""What is known of NVIDIA's containers by their release."""

from __future__ import annotations

import pytest

from cloche.images.bases import ngc


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
