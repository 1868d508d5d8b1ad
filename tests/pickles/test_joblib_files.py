"""joblib's files: arrays between the opcodes, compressed or not, hide nothing."""

from __future__ import annotations

import bz2
import gzip
import lzma
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from evil import EVIL, SYSTEM, codes, outside, scanned, short

from cloche.pickles import limits

SAMPLES = Path(__file__).parent / "samples" / "sklearn-1.9"
PLAIN = (SAMPLES / "arrays.joblib").read_bytes()
BAD = (SAMPLES / "evil.joblib").read_bytes()
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "two streams of zlib": lambda data: zlib.compress(data[:100]) + zlib.compress(data[100:]),
    "two streams of gzip": lambda data: gzip.compress(data[:100]) + gzip.compress(data[100:]),
    "gzip in bz2": lambda data: bz2.compress(gzip.compress(data)),
}


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_compressed_files_are_opened(tmp_path: Path, kind: str) -> None:
    compress = COMPRESSIONS[kind]
    assert outside(scanned(tmp_path, compress(BAD), "model.joblib")) == {SYSTEM}
    assert outside(scanned(tmp_path, compress(EVIL), "model")) == {SYSTEM}
    assert scanned(tmp_path, compress(PLAIN), "model.joblib").findings == ()


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_damaged_compression_is_a_finding(tmp_path: Path, kind: str) -> None:
    data = COMPRESSIONS[kind](PLAIN)
    assert codes(scanned(tmp_path, data[: len(data) // 2], "model.joblib"))
    assert codes(scanned(tmp_path, data[:4] + b"\xff" * 40, "model.joblib"))


def test_a_wrong_sum_hides_nothing(tmp_path: Path) -> None:
    data = gzip.compress(EVIL)
    found = scanned(tmp_path, data[:-8] + b"\0" * 8, "model.joblib")
    assert codes(found)


@pytest.mark.parametrize("start", [b"\x04\x22\x4d\x18", b"\x28\xb5\x2f\xfd", b"ZF0x10"])
def test_what_cannot_be_opened_is_a_finding(tmp_path: Path, start: bytes) -> None:
    assert "pickle.unreadable" in codes(scanned(tmp_path, start + b"\0" * 40, "model.joblib"))


def test_a_bomb_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DECOMPRESSED", 2**20)
    bomb = zlib.compress(pickle.dumps(b"\0" * 2**22))
    assert codes(scanned(tmp_path, bomb, "model.joblib")) == {"pickle.toolarge"}


# ── arrays written by hand ────────────────────────────────────────────────────────────────────

DTYPE = b"cnumpy\ndtype\n" + short("f8") + b"\x89\x88\x87R"


def wrapper(
    shape: bytes = b"(K\x03t",
    dtype: bytes = DTYPE,
    make: bytes = b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81",
    more: bytes = b"",
) -> bytes:
    """Return opcodes that make an array of three numbers, whose bytes have to follow."""
    state = short("subclass") + b"cnumpy\nndarray\n" + short("shape") + shape
    state += short("order") + short("C") + short("dtype") + dtype + short("allow_mmap") + b"\x89"
    return make + b"}(" + state + more + b"ub"


def file(opcodes: bytes, after: bytes = b"\0" * 24 + b".") -> bytes:
    return b"\x80\x04" + opcodes + after


CALL = b"cos\nsystem\n(S'true'\ntR"


def test_an_array_by_hand(tmp_path: Path) -> None:
    assert scanned(tmp_path, file(wrapper()), "m.joblib").findings == ()
    padded = wrapper(more=short("numpy_array_alignment_bytes") + b"K\x10")
    data = file(padded, b"\x03\xff\xff\xff" + b"\0" * 24 + b".")
    assert scanned(tmp_path, data, "m.joblib").findings == ()
    reconstructed = wrapper(
        make=b"ccopyreg\n_reconstructor\ncjoblib.numpy_pickle\nNumpyArrayWrapper\n"
        b"cbuiltins\nobject\nN\x87R"
    )
    assert scanned(tmp_path, file(reconstructed), "m.joblib").findings == ()


def test_a_call_after_an_array(tmp_path: Path) -> None:
    data = file(wrapper(), b"\0" * 24 + CALL + b"\x86.")
    assert outside(scanned(tmp_path, data, "m.joblib")) == {"os.system"}


def test_a_call_in_the_bytes_of_an_array_is_found_as_pickle_would_read_it(tmp_path: Path) -> None:
    """joblib passes over them; the ordinary unpickler runs them."""
    long = file(wrapper(b"(K\x06t"), (CALL + b".").ljust(48, b"\0") + b".")
    assert outside(scanned(tmp_path, long, "m.joblib")) == {"os.system"}


DISGUISES = {
    "a shape by a call": wrapper(shape=b"cbuiltins\ntuple\n)R"),
    "a negative shape": wrapper(shape=b"(J\xff\xff\xff\xffJ\xfd\xff\xff\xfft"),
    "a shape beyond 64 bits": wrapper(shape=b"(\x8a\x09" + b"\0" * 8 + b"\x01t"),
    "a type by name": wrapper(dtype=b"cnumpy\ndtype\n" + short("float64") + b"\x85R"),
    "a type that is no type": wrapper(dtype=short("f8")),
    "no type": b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}b",
    "a size that contradicts": wrapper(
        dtype=b"cnumpy\ndtype\n" + short("V8") + b"\x89\x88\x87R(K\x03" + short("|")
        + b"NNNK\x10K\x01K\x00tb"
    ),
    "objects hidden in a field": wrapper(
        dtype=b"cnumpy\ndtype\n" + short("V8") + b"\x89\x88\x87R(K\x03" + short("|") + b"N"
        + short("x") + b"\x85}" + short("x") + b"cnumpy\ndtype\n" + short("O8")
        + b"\x89\x88\x87RK\x00\x86sK\x08K\x01K\x00tb"
    ),
    "a state that is a pair": b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81N}\x86b",
    "a key that is no text": wrapper(more=b"cnumpy\nstr_\n" + short("shape") + b"\x85RK\x00\x85"),
    "arguments, which set a padding": wrapper(
        make=b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n(NNNNtR"
    ),
    "a padding by a call": wrapper(
        more=short("numpy_array_alignment_bytes")
        + b"ctorch.jit._pickle\nrestore_type_tag\nN" + short("x") + b"\x86R"
    ),
    "numbers that say they are objects": wrapper(
        dtype=DTYPE + b"(K\x03" + short("<") + b"NNNJ\xff\xff\xff\xffK\x00K\x3ftb"
    ),
    "set twice": wrapper() + b"\0" * 24 + b"0h\x00}b",
    "an identity around it": wrapper(
        make=b"ctorch.jit._pickle\nrestore_type_tag\ncjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81"
        + short("T") + b"\x86R"
    ),
    "made by __newobj__": wrapper(
        make=b"ccopyreg\n__newobj__\ncjoblib.numpy_pickle\nNumpyArrayWrapper\n\x85R"
    ),
    "from an unknown number": b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n0h\x09}b",
    "inside of a frame": b"\x95" + struct.pack("<Q", 900) + wrapper(),
}  # fmt: skip


@pytest.mark.parametrize("case", DISGUISES)
def test_an_array_of_unknown_size_is_a_finding(tmp_path: Path, case: str) -> None:
    opcodes = DISGUISES[case]
    if case == "set twice":
        opcodes = opcodes.replace(b")\x81", b")\x81\x94", 1)
    found = scanned(tmp_path, file(opcodes, b"\0" * 1000 + b"."), "m.joblib")
    assert codes(found) & {"pickle.unresolved", "pickle.unreadable"}, found


def test_an_array_that_is_cut_is_a_finding(tmp_path: Path) -> None:
    assert "pickle.unreadable" in codes(scanned(tmp_path, file(wrapper(), b"\0" * 20), "m.joblib"))


def test_an_array_of_objects_is_a_pickle_of_its_own(tmp_path: Path) -> None:
    objects = wrapper(dtype=b"cnumpy\ndtype\n" + short("O8") + b"\x89\x88\x87R")
    assert outside(scanned(tmp_path, file(objects, EVIL + b"."), "m.joblib")) == {SYSTEM}
    benign = file(objects, pickle.dumps([1]) + b".")
    assert scanned(tmp_path, benign, "m.joblib").findings == ()
