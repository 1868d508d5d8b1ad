"""Plain pickles: every way to import a name is found, and what does not read is never a pass."""

from __future__ import annotations

import collections
import datetime
import decimal
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evil import CALLS, EVIL, SYSTEM, Call, codes, outside, scanned, short

from cloche.pickles import limits
from cloche.pickles import memo as memos


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("call", CALLS)
def test_calls_are_found_in_every_protocol(tmp_path: Path, call: str, protocol: int) -> None:
    value, name = CALLS[call]
    assert outside(scanned(tmp_path, pickle.dumps({"model": [value]}, protocol))) == {name}


OPCODES = {
    "INST": b"(S'true'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'true'\no.",
    "GLOBAL": b"cos\nsystem\n(S'true'\ntR.",
    "names with a carriage return": b"cos\r\nsystem\n(S'true'\ntR.",
    "NEWOBJ": b"\x80\x02cos\nsystem\n)\x81.",
    "NEWOBJ_EX": b"\x80\x04cos\nsystem\n)}\x92.",
    "names through the memo": (
        b"\x80\x04" + short("os") + b"\x940" + short("system") + b"\x940h\x00h\x01\x93)R."
    ),
    "names through PUT": b"\x80\x04" + short("os") + b"p7\n0" + short("system") + b"g7\n" + b"N0"
    b"q\x080h\x07h\x08\x93)R.",
    "a name in the memo before a mark": (
        b"\x80\x04" + short("os") + b"\x94" + short("system") + b"\x93(" + b"h\x00" + b"1)R."
    ),
    "a name doubled": b"\x80\x04" + short("system") + b"2\x93)R.",
    "a dotted name": b"\x80\x04" + short("numpy") + short("f2py.os.system") + b"\x93)R.",
    "a name of an old text": b"\x80\x04U\x02osU\x06system\x93)R.",
    "texts by lines": b"\x80\x04Vos\nVsys\\u0074em\n\x93)R.",
    "a long size": b"\x80\x04\x8d" + struct.pack("<Q", 2) + b"os" + short("system") + b"\x93)R.",
    "a name that STOP leaves": b"cos\nsystem\n.",
    "an escape in a line": b"\x80\x02S'\\x6fs'\nS'system'\n\x93)R.",
}


@pytest.mark.parametrize("case", OPCODES)
def test_every_opcode_that_imports(tmp_path: Path, case: str) -> None:
    found = scanned(tmp_path, OPCODES[case])
    assert found.outside or "pickle.unresolved" in codes(found), found


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x80\x02\x82\x01.", "extension registry"),
        (b"\x80\x02\x83\x01\x00.", "extension registry"),
        (b"\x80\x02\x84\x01\x00\x00\x00.", "extension registry"),
        (b"\x80\x04cbuiltins\nstr\n" + short("os") + b"\x85R" + short("system") + b"\x93.", "name"),
        (b"\x80\x04\x97" + short("system") + b"\x93.", "put together"),
        (b"ccollections\nOrderedDict\n}b.", "changes collections.OrderedDict itself"),
        (b"c" + b"a" * 2000 + b"\nb\n.", "longer than any"),
        (b"\x80\x04\x95\x09" + b"\0" * 7 + b"N." + b"N.", "goes on after the end"),
    ],
)
def test_what_cannot_be_resolved_is_a_finding(tmp_path: Path, data: bytes, why: str) -> None:
    found = scanned(tmp_path, data)
    assert any(
        problem.code == "pickle.unresolved" and why in problem.what for problem in found.problems
    )


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x80", b"\x80\x04", b"\x80\x04N", b"\x80\x09N.", b"N.\x00", b"\x80\x04N.trailing",
        b"\x80\x04\x00.", b"hello", b"\x80\x04X\xff\xff\xff\xffabc.", b"\x80\x04R.", b"\x80\x04t.",
        b"\x80\x04pone\n.", b"\x80\x04Bz", EVIL[:-1],
    ],
)  # fmt: skip
def test_what_does_not_read_to_its_end_is_a_finding(tmp_path: Path, data: bytes) -> None:
    assert "pickle.unreadable" in codes(scanned(tmp_path, data))


def test_all_pickles_of_a_stream_are_read(tmp_path: Path) -> None:
    found = scanned(tmp_path, pickle.dumps([1]) + pickle.dumps("two") + EVIL)
    assert found.pickles == 3
    assert [(str(name), name.place) for name in found.outside] == [(SYSTEM, "model.pkl#3")]


def test_a_pickle_as_bytes_inside_of_one_is_found_by_what_loads_it(tmp_path: Path) -> None:
    found = scanned(tmp_path, pickle.dumps({"weights": Call(pickle.loads, EVIL)}))
    assert outside(found) == {"pickle.loads"}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_usual_values_have_no_finding(tmp_path: Path, protocol: int) -> None:
    values = [
        None, True, 1, 2**70, -(2**40), 1.5, "text", "é\n\\", b"bytes", bytearray(b"x"), (1, (2,)),
        {"a": [1]}, {1, 2}, frozenset({3}), collections.OrderedDict(a=1), collections.deque([1]),
        collections.defaultdict(list, a=[1]), decimal.Decimal("1.5"), datetime.date(2026, 1, 31),
        datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC), Path("a"), range(3), slice(1), 1j,
        np.arange(3), np.float32(1), np.array(["a", None], dtype=object), np.dtype("f4, i4"),
        np.ma.array([1, 2], mask=[0, 1]), np.random.default_rng(0), np.random.RandomState(0),
        [0] * 5000, dict.fromkeys(map(str, range(5000))), tuple(range(5000)), b"x" * 100_000,
    ]  # fmt: skip
    found = scanned(tmp_path, pickle.dumps(values, protocol))
    assert found.findings == ()
    assert found.pickles == 1


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_frames_of_pandas_have_no_finding(tmp_path: Path, protocol: int) -> None:
    days = pd.date_range("2026-01-31", periods=2, tz="UTC")
    frame = pd.DataFrame(
        {"a": [1, 2], "b": ["x", None], "d": days, "c": pd.Categorical(["u", "v"])}
    )
    found = scanned(tmp_path, pickle.dumps([frame, frame.set_index("b"), frame["a"]], protocol))
    # The zone of the times is Python's own, which pandas pickles by a name.
    assert outside(found) <= {"zoneinfo.ZoneInfo._unpickle", "builtins.getattr"}
    assert not found.problems


def test_a_large_value_is_passed_over(tmp_path: Path) -> None:
    data = pickle.dumps([b"x" * (limits.LONGEST_KEPT + 1), os.system])
    assert outside(scanned(tmp_path, data)) == {SYSTEM}


def test_what_is_beyond_the_remembered_is_unresolved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REMEMBERED", 10_000)
    data = pickle.dumps([*map(str, range(1000)), os.system])
    assert "pickle.unresolved" in codes(scanned(tmp_path, data))


@pytest.mark.parametrize(
    ("limit", "data"),
    [
        ("DEEPEST_STACK", b"(" + b"N" * 100 + b"t."),
        ("DEEPEST_GROUPS", b"(" * 100 + b"."),
        ("MOST_PICKLES", b"N." * 100),
        ("MOST_NAMES", b"".join(b"ca\nb%d\n0" % number for number in range(100)) + b"N."),
    ],
)
def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, data: bytes) -> None:
    monkeypatch.setattr(limits, limit, 20)
    assert "pickle.toolarge" in codes(scanned(tmp_path, data))


def test_a_file_that_cannot_be_opened_is_a_finding(tmp_path: Path) -> None:
    from cloche.pickles import scan

    assert codes(scan(tmp_path / "missing.pkl")) == {"pickle.unreadable"}
    assert codes(scan(tmp_path)) == {"pickle.unreadable"}


def test_names_can_be_printed(tmp_path: Path) -> None:
    names = b"c\xe2\x80\xaeos\nsys\x1b[2Jtem\n0\x80\x04" + b"\x8c\x03\xed\xb2\x80\x8c\x01x\x93."
    found = scanned(tmp_path, names)
    assert [str(name) for name in found.outside] == [r"\u202eos.sys\x1b[2Jtem", r"\udc80.x"]


def test_numbers_of_the_memo_out_of_turn() -> None:
    memo = memos.Memo()
    for number in (1, 3, 0, 2, 2):
        memo.put(number, number * 10)
    memo.put(len(memo), "next")
    assert [memo.get(number) for number in range(5)] == [0, 10, 20, 30, "next"]
