"""Whatever stands in a file: what an unpickler would import is found, and nothing is raised."""

from __future__ import annotations

import io
import pickle
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from evil import CALLS, scanned
from hypothesis import given, settings
from hypothesis import strategies as st
from test_pickle_streams import OPCODES

from cloche.pickles.allowed import is_allowed, may_be_installed
from cloche.pickles.scan import shown

SAMPLES = Path(__file__).parent / "samples"
SMALL = [path.read_bytes() for path in sorted(SAMPLES.glob("*/*")) if path.stat().st_size < 4000]
CALLING = [*OPCODES.values(), *(pickle.dumps([value], p) for value, _ in CALLS.values()
                                for p in range(6))]  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.complex_numbers() | st.dates() | st.datetimes() | st.timedeltas() | st.decimals(),
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.frozensets(st.integers() | st.text())
        | st.dictionaries(st.text() | st.integers(), inner) | st.sets(st.text())
    ),
    max_leaves=30,
)  # fmt: skip

EXTENSION = ("copyreg", "an object of its registry")


class Stub:
    """Stands for whatever a pickle imports, and for what it makes of it."""

    def __new__(cls, *_: Any, **__: Any) -> Stub:
        return object.__new__(cls)

    def nothing(self, *_: Any, **__: Any) -> None:
        pass

    __call__ = __setstate__ = append = extend = add = __setitem__ = nothing


class Recorder(pickle._Unpickler):  # type: ignore[name-defined,misc]
    """The unpickler of the standard library, in Python, that imports nothing and notes names."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.names: set[tuple[str, str]] = set()

    def find_class(self, module: str, name: str) -> type[Stub]:
        self.names.add((module, name))
        return Stub

    def persistent_load(self, pid: Any) -> Stub:
        return Stub()

    def get_extension(self, code: int) -> None:
        self.names.add(EXTENSION)
        self.append(Stub())


def imported(data: bytes) -> set[tuple[str, str]]:
    """Return what loading a file would import before it ends or fails."""
    recorder = Recorder(data)
    with suppress(Exception):
        recorder.load()
    return recorder.names


def check(folder: Path, data: bytes, name: str = "model.pkl") -> None:
    """Check that every name is found, or that something was not resolved."""
    found = scanned(folder, data, name)
    names = {(each.module, each.name) for each in found.names}
    # After an array of joblib, an ordinary unpickler meets noise, and fails at names that are none.
    missing = {
        (module, name)
        for module, name in imported(data)
        if (shown(module), shown(name)) not in names
        and not is_allowed(module, name)
        and may_be_installed(module)
    }
    if not name.endswith(".pkl"):
        missing.discard(EXTENSION)  # noise, in a file that is hardly a pickle
    assert not missing or found.problems, (data, missing)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("odd")


@given(VALUES, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_values_have_no_finding(folder: Path, value: Any, protocol: int) -> None:
    found = scanned(folder, pickle.dumps(value, protocol))
    assert found.findings == ()
    assert found.pickles == 1


@given(st.binary(max_size=200), st.sampled_from(("m.pkl", "m.npy", "m.h5", "m.keras", "m")))
def test_any_bytes(folder: Path, data: bytes, name: str) -> None:
    check(folder, data, name)


@given(st.lists(st.sampled_from(b"().0125BCFGIJKLMNPQRSTUVX]abcdeghijloqrstu}\x80\x8c\x93\x94\x85\x86\n")
                | st.integers(0, 255), max_size=60))  # fmt: skip
def test_any_opcodes(folder: Path, opcodes: list[int]) -> None:
    check(folder, bytes(opcodes))
    check(folder, b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94" + bytes(opcodes))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """One of the calls, with a few bytes of it changed, left out or put in."""
    data = bytearray(draw(st.sampled_from(CALLING) | st.sampled_from(SMALL)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        byte = draw(st.integers(0, 255) | st.sampled_from(b".0(h\x94q\x93R"))
        match draw(st.sampled_from(("change", "flip", "leave out", "put in"))):
            case "change":
                data[at : at + 1] = bytes([byte])
            case "flip":
                data[at : at + 1] = bytes([data[at] ^ (1 << byte % 8)]) if data else b""
            case "leave out":
                del data[at : at + 1]
            case "put in":
                data[at:at] = bytes([byte])
    return bytes(data)


@settings(max_examples=400)
@given(damaged())
def test_damaged_files(folder: Path, data: bytes) -> None:
    for name in ("model.pkl", "notes.txt"):
        check(folder, data, name)


@pytest.mark.parametrize("data", CALLING, ids=range(len(CALLING)))
def test_every_flipped_bit_and_every_cut_of_a_call(folder: Path, data: bytes) -> None:
    for at in range(len(data)):
        assert scanned(folder, data[:at]).findings, at
        for bit in range(8):
            check(folder, data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04" + b"(" * 1_000_000,
        b"\x80\x04" + b"N" * 1_000_000,
        b"\x80\x04]" + b"2" * 500_000,
        b"\x80\x04K\x00" + b"\x85" * 300_000,
        b"c" + b"a" * 1_000_000,
        b"I" + b"1" * 1_000_000 + b"\n.",
        b"\x80\x04]\x94" + b"h\x00" * 300_000 + b".",
        b"\x80\x04)" + b"2\x86" * 300_000 + b".",
        b"\x8e" + b"\xff" * 8,
        b"\x8b\xff\xff\xff\xff",
        b"r\xff\xff\xff\xffN.",
        b"\x80\x04Nr\xff\xff\xff\x7f.",
        b"\x80\x04}" + b"NNs" * 300_000 + b".",
    ],
    ids=range(13),
)
def test_time_is_bounded(folder: Path, data: bytes) -> None:
    began = time.process_time()
    scanned(folder, data)
    assert time.process_time() - began < 20
