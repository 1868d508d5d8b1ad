"""Packages of a conda.yaml, as the package index is asked for them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from cloche.formats.mlflow import conda


def asked(line: str) -> str | None:
    package = conda.parse(line)
    assert package is not None
    written = conda.requirement(package)
    return None if written is None else written.partition("  # ")[0]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("lightgbm", "lightgbm"),
        ("lightgbm=4.6.0", "lightgbm==4.6.0.*"),
        ("lightgbm=4.6", "lightgbm==4.6.*"),
        ("lightgbm=4.6.*", "lightgbm==4.6.*"),
        ("lightgbm==4.6.0", "lightgbm==4.6.0"),
        ("lightgbm 4.6.0", "lightgbm==4.6.0"),
        ("lightgbm 4.6*", "lightgbm==4.6.*"),
        ("lightgbm=*", "lightgbm"),
        ("lightgbm *", "lightgbm"),
        # A build makes a version exact.
        ("lightgbm=4.6.0=py311h6a678d5_0", "lightgbm==4.6.0"),
        ("lightgbm==4.6.0=py311h6a678d5_0", "lightgbm==4.6.0"),
        ("lightgbm 4.6.0 py311h6a678d5_0", "lightgbm==4.6.0"),
        ("pytorch=2.1.*=py3.11_cuda12.1_0", "torch==2.1.*"),
        ("numpy>=1.24,<2", "numpy>=1.24,<2"),
        ("numpy >=1.24, <2", "numpy>=1.24,<2"),
        ("numpy >=1.24,<2 py311_0", "numpy>=1.24,<2"),
        ("numpy>=1.24,!=1.25.*", "numpy>=1.24,!=1.25.*"),
        ("numpy>=1.24.*", "numpy>=1.24"),
        ("numpy~=1.24", "numpy~=1.24"),
        ("scipy=1.7.0rc1", "scipy==1.7.0rc1"),
        ("scipy=1!2.0", "scipy==1!2.0.*"),
        ("NumPy=1.26", "numpy==1.26.*"),
        ("conda-forge::lightgbm=4.6.0", "lightgbm==4.6.0.*"),
        ("conda-forge/linux-64::lightgbm=4.6.0", "lightgbm==4.6.0.*"),
        ("numpy[version='>=1.24,<2']", "numpy>=1.24,<2"),
        ("numpy[version=1.26.4, build=py311h64a7726_0]", "numpy==1.26.4"),
        ('lightgbm[channel=conda-forge,version="4.6.*"]', "lightgbm==4.6.*"),
        # Other names on the index.
        ("pytorch", "torch"),
        ("pytorch-gpu=2.5", "torch==2.5.*"),
        ("py-xgboost=2.1", "xgboost==2.1.*"),
        ("opencv=4.9.0", "opencv-python-headless==4.9.0.*"),
        ("opencv=4.9.0=py311_0", "opencv-python-headless==4.9.0.*"),
        ("matplotlib-base", "matplotlib"),
        ("pytables=3.9", "tables==3.9.*"),
        ("ray-default=2.9", "ray[default]==2.9.*"),
        ("msgpack-python", "msgpack"),
        ("librosa", "librosa"),
        # Not on the index.
        ("libgcc-ng=13.2.0=h807b86f_5", None),
        ("openssl=3.2", None),
        ("cudatoolkit=11.8", None),
        ("pytorch-cuda=12.1", None),
        ("_openmp_mutex=5.1", None),
        ("r-base", None),
        ("xorg-libx11", None),
        ("ca-certificates", None),
        # An unknown name: its build tells, as in a full export of an environment.
        ("somelib=1.2=h0c530f3_0", None),
        ("somepackage=1.2=pyhd8ed1ab_0", "somepackage==1.2"),
        ("somepackage=1.2", "somepackage==1.2.*"),
        # A channel of one's own has packages that the index may know by another meaning.
        ("ourchannel::lightgbm=4.6.0", None),
        ("https://conda.example/ours::lightgbm=4.6.0", None),
    ],
)
def test_what_the_index_is_asked_for(line: str, expected: str | None) -> None:
    assert asked(line) == expected


def test_a_requirement_says_where_it_comes_from() -> None:
    package = conda.parse("conda-forge::lightgbm=4.6.0")
    assert package is not None
    written = "lightgbm==4.6.0.*  # conda.yaml: conda-forge::lightgbm=4.6.0"
    assert conda.requirement(package) == written


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("numpy=1.24|1.25", "alternatives"),
        ("pytz=2024a_b", "not a version that a package index has"),
        ("numpy>=", "not a version"),
        ("numpy~=1", "not a range of versions"),
    ],
)
def test_what_the_index_cannot_be_asked_for(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        asked(line)


@pytest.mark.parametrize(
    ("line", "allowed", "refused"),
    [
        ("python=3.11", "3.11.7", "3.10.1"),
        ("python=3.11.7", "3.11.7", "3.11.8"),
        ("python>=3.9,<3.12", "3.11.7", "3.12.0"),
        ("python 3.11.*", "3.11.7", "3.12.0"),
        ("python=3.11.7=h955ad1f_0", "3.11.7", "3.11.8"),
    ],
)
def test_the_range_of_pythons(line: str, allowed: str, refused: str) -> None:
    package = conda.parse(line)
    assert package is not None
    versions = conda.python_of(package)
    assert versions is not None
    assert versions.contains(allowed)
    assert not versions.contains(refused)


@given(st.text("ab1_.-=<>!~*|,:[]' /", max_size=16))
def test_any_text_is_a_requirement_or_has_a_reason(line: str) -> None:
    package = conda.parse(line)
    if package is None:
        return
    with suppress(ValueError):
        SpecifierSet(conda.specifier(package.version))
    conda.python_of(package)
