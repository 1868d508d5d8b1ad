"""Zip archives and arrays: no name, sum, flag or place hides a pickle."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from evil import EVIL, SYSTEM, Call, codes, outside, scanned

from cloche.pickles import limits

SAMPLES = Path(__file__).parent / "samples"
BENIGN = pickle.dumps({"weights": [1.0]})


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
@pytest.mark.parametrize(
    "member",
    ["archive/data.pkl", "archive/DATA.PKL", "notes.txt", "archive/data/0", "x/y.npy", "a"],
)
def test_members_are_read_by_their_content(tmp_path: Path, member: str, method: int) -> None:
    found = scanned(tmp_path, zipped({"archive/version": b"3\n", member: EVIL}, method), "model.pt")
    assert [(str(name), name.place) for name in found.outside] == [(SYSTEM, f"model.pt/{member}")]


@pytest.mark.parametrize("name", ["model.pt", "model.txt", "model"])
def test_the_name_of_the_file_does_not_matter(tmp_path: Path, name: str) -> None:
    assert outside(scanned(tmp_path, zipped({"a/data.pkl": EVIL}), name)) == {SYSTEM}


def changed(data: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    at = data.rindex(signature) + offset
    return data[:at] + value + data[at + len(value) :]


CENTRAL, LOCAL = b"PK\1\2", b"PK\3\4"
BROKEN = {
    "sum in the directory": (CENTRAL, 16, b"\0\0\0\0"),
    "sum before the member": (LOCAL, 14, b"\0\0\0\0"),
    "flag in the directory": (CENTRAL, 8, b"\1\0"),
    "flag before the member": (LOCAL, 6, b"\1\0"),
    "name before the member": (LOCAL, 30, b"b"),
    "method before the member": (LOCAL, 8, b"\x08\0"),
    "version": (CENTRAL, 6, b"\xff\0"),
    "unpacked size": (CENTRAL, 24, b"\0\0\0\0"),
    "size before the member": (LOCAL, 18, b"\0\0\0\0"),
    "unicode flag": (CENTRAL, 8, b"\0\x08"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_tampered_archive_hides_nothing(tmp_path: Path, case: str) -> None:
    data = changed(zipped({"a/data.pkl": EVIL}), *BROKEN[case])
    assert outside(scanned(tmp_path, data, "model.pt")) == {SYSTEM}


@pytest.mark.parametrize("case", ["flag in the directory", "name before the member"])
def test_what_programs_read_differently_is_a_finding(tmp_path: Path, case: str) -> None:
    data = changed(zipped({"a/data.pkl": BENIGN}), *BROKEN[case])
    assert codes(scanned(tmp_path, data, "model.pt")) == {"pickle.archive"}


def test_an_archive_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    data = zipped({"a/data.pkl": BENIGN})
    assert codes(scanned(tmp_path, data[:-30], "model.pt"))
    unknown_method = changed(data, CENTRAL, 10, b"\x63\0")
    assert "pickle.unreadable" in codes(scanned(tmp_path, unknown_method, "model.pt"))
    nowhere = changed(data, CENTRAL, 42, b"\xff\0\0\0")
    assert codes(scanned(tmp_path, nowhere, "model.pt")) == {"pickle.archive"}


def test_an_archive_behind_something_else_is_read_in_both_ways(tmp_path: Path) -> None:
    found = scanned(tmp_path, BENIGN + zipped({"a/data.pkl": EVIL}))
    assert outside(found) == {SYSTEM}
    assert "pickle.archive" in codes(found)
    assert outside(scanned(tmp_path, EVIL + zipped({"a/data.pkl": BENIGN}))) == {SYSTEM}


def test_two_directories_of_one_archive_are_both_read(tmp_path: Path) -> None:
    """zipfile finds the directory before the end, miniz where the end says that it starts."""
    evil, benign = zipped({"a/data.pkl": EVIL}), zipped({"a/data.pkl": BENIGN})
    size, start = struct.unpack_from("<2L", evil, evil.rindex(b"PK\5\6") + 12)
    # One entry each, of the same size: the end of the second archive points to the first one's.
    both = changed(evil + benign, b"PK\5\6", 16, struct.pack("<L", start))
    found = scanned(tmp_path, both, "model.pt")
    assert size
    assert outside(found) == {SYSTEM}
    assert "pickle.archive" in codes(found)


def test_large_archives_have_their_own_fields(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("a.pkl", "w", force_zip64=True) as f:
        f.write(EVIL)
    data = buffer.getvalue()
    assert outside(scanned(tmp_path, data, "model.pt")) == {SYSTEM}
    # The same with a directory that only the large record gives.
    end = data.rindex(b"PK\5\6")
    size, start = struct.unpack_from("<2L", data, end + 12)
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    last = data[end : end + 8] + b"\xff" * 12 + b"\0\0"
    assert outside(scanned(tmp_path, data[:end] + record + locator + last, "model.pt")) == {SYSTEM}


def test_archives_in_archives_are_read_to_a_depth(tmp_path: Path) -> None:
    data = EVIL
    for depth in range(1, 7):
        data = zipped({f"{depth}.zip": data}, zipfile.ZIP_DEFLATED)
        found = scanned(tmp_path, data)
        if depth <= limits.DEEPEST_ARCHIVE:
            assert outside(found) == {SYSTEM}
        else:
            assert "pickle.toolarge" in codes(found)


@pytest.mark.parametrize(
    ("limit", "value"), [("DECOMPRESSED", 1000), ("MOST_MEMBERS", 2), ("LONGEST_DIRECTORY", 40)]
)
def test_bombs_are_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(limits, limit, value)
    members = dict.fromkeys("abc", pickle.dumps([b"x" * 100_000]))
    assert "pickle.toolarge" in codes(scanned(tmp_path, zipped(members, zipfile.ZIP_DEFLATED)))


def test_storages_are_not_taken_for_pickles(tmp_path: Path) -> None:
    """Numbers may begin with any bytes; only what would import something counts."""
    starts = (b"\x80\x02", b"\x80\x04\x95", b"c", b"(", b"N.", b"]\x00", b"x\x9c", b"\0" * 8)
    storages = {f"m/data/{n}": start + bytes(range(256)) for n, start in enumerate(starts)}
    found = scanned(tmp_path, zipped({"m/data.pkl": BENIGN, **storages}), "model.pt")
    assert found.findings == ()


def test_a_storage_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", BENIGN)
        with archive.open("m/data/0", "w") as member:
            for _ in range(64):
                member.write(b"\0" * 2**20)
    read = 0
    opened = Path.open

    class Counting:
        def __init__(self, file: io.BufferedReader) -> None:
            self.file = file

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

        def __enter__(self) -> Counting:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def read(self, size: int) -> bytes:
            nonlocal read
            data = self.file.read(size)
            read += len(data)
            return data

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "open", lambda self, mode: Counting(opened(self, mode)))
        from cloche.pickles import scan

        assert scan(path).findings == ()
    assert read < 2**20


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def test_arrays_of_objects_hold_a_pickle(tmp_path: Path) -> None:
    objects = npy(np.array([Call(os.system, "true")], dtype=object))
    assert outside(scanned(tmp_path, objects, "a.npy")) == {SYSTEM}
    assert outside(scanned(tmp_path, zipped({"a.npy": objects}), "a.npz")) == {SYSTEM}
    fields = np.zeros(1, dtype=[("x", "f4"), ("y", "O")])
    fields["y"][0] = Call(os.system, "true")
    assert outside(scanned(tmp_path, npy(fields), "a.npy")) == {SYSTEM}
    assert codes(scanned(tmp_path, objects[:-2], "a.npy"))


def test_arrays_of_numbers_hold_none(tmp_path: Path) -> None:
    table = np.zeros(2, dtype=[("x", "f4", (2,)), ("y", [("z", "U3")]), ("t", "M8[ns]")])
    for array in (np.zeros((2, 3)), np.array(["a"]), np.array([True]), table):
        assert scanned(tmp_path, npy(array), "a.npy").findings == ()
    benign = npy(np.array([None, {"a": 1}], dtype=object))
    assert scanned(tmp_path, benign, "a.npy").findings == ()


@pytest.mark.parametrize(
    "header", [b"{'descr': '|O'", b"[]", b"", b"{'descr': __import__('os')}", b"(" * 5000, b"\0"]
)
def test_a_header_that_is_none_is_a_finding(tmp_path: Path, header: bytes) -> None:
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    assert codes(scanned(tmp_path, data, "a.npy")) == {"pickle.unresolved"}


def test_a_tar_archive_is_a_finding(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("pickle")
        member.size = len(EVIL)
        archive.addfile(member, io.BytesIO(EVIL))
    assert "pickle.unreadable" in codes(scanned(tmp_path, buffer.getvalue(), "model.tar"))
    # A pickle that is a header of tar, too: its name is the pickle.
    head = bytearray(buffer.getvalue()[:512])
    head[: len(EVIL)] = EVIL
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    assert outside(scanned(tmp_path, bytes(head), "model.txt")) == {SYSTEM}


def test_objects_of_skops_are_names(tmp_path: Path) -> None:
    nodes = [
        {"__module__": "sklearn.linear_model._logistic", "__class__": "LogisticRegression",
         "__loader__": "ObjectNode"},
        {"__module__": "os", "__class__": "system", "__loader__": "TypeNode"},
    ]  # fmt: skip
    data = zipped({"schema.json": json.dumps({"content": nodes}).encode()})
    assert outside(scanned(tmp_path, data, "model.skops")) == {"os.system"}


def test_a_renamed_member_of_a_real_archive_is_read(tmp_path: Path) -> None:
    data = (SAMPLES / "torch-2.15" / "evil.pt").read_bytes().replace(b"data.pkl", b"dada.pkl")
    assert outside(scanned(tmp_path, data, "model.pt")) == {SYSTEM}
