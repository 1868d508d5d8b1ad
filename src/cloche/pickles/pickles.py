"""All pickles of a stream, read to its end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cloche.pickles import joblib_arrays, limits, python_versions
from cloche.pickles.allowed import may_be_installed
from cloche.pickles.machine import Machine
from cloche.pickles.opcodes import read_opcodes
from cloche.pickles.steps import STEPS
from cloche.pickles.streams import Malformed, Stream, TooLarge, Unreadable, Unresolved
from cloche.pickles.torch_files import LEGACY_MAGIC, LEGACY_OBJECT, LEGACY_PICKLES
from cloche.pickles.values import UNKNOWN

if TYPE_CHECKING:
    from cloche.pickles.found import Found
    from cloche.pickles.streams import Content
    from cloche.pickles.values import Global

_LIBRARIES = {
    "_sklearn_version": "scikit-learn",
    "pytorch-lightning_version": "pytorch-lightning",
    "transformers_version": "transformers",
}
_NUMPY = {"numpy.core.multiarray": "1", "numpy._core.multiarray": "2"}
"""The module of an array's pickle tells the major version that wrote it."""
_IMPORTABLE = re.compile(r"[^\s\x00-\x1f]+")


def read_stream(content: Content, found: Found) -> None:
    """Read a stream of pickles, as joblib does and as an ordinary unpickler does.

    The two differ only for joblib's arrays: what is an array's bytes for one is opcodes for the
    other, and either may be what loads the file.
    """
    if _read(content, found, strict=content.strict, arrays=True):
        _read(content, found, strict=False, arrays=False)


def _read(content: Content, found: Found, *, strict: bool, arrays: bool) -> bool:
    """Read a stream in one way; return whether there are arrays of joblib in it.

    What need not be a pickle is reported only for what a loader would call before it fails.
    """
    apart = found.apart()
    reading = _Reading(content, apart, arrays=arrays, strict=strict)
    with content.open() as file:
        try:
            reading.run(Stream(file))
        except Malformed as problem:
            doubtful = reading.imported and (reading.called or apart.pickles)
            if not strict and not doubtful:
                return reading.wrapped
            if strict:
                apart.unreadable(problem, reading.place)
        except Unreadable as problem:
            if strict or reading.imported or isinstance(problem, TooLarge):
                apart.unreadable(problem, reading.place)
    if strict or reading.imported or apart.findings:
        found.add(apart)
    return reading.wrapped


class _Reading:
    """One way through a stream."""

    def __init__(
        self, content: Content, found: Found, *, arrays: bool = True, strict: bool = True
    ) -> None:
        self.place = content.place
        self.called = False
        self.wrapped = False
        """Whether the class of joblib's arrays was met."""
        self.imported = False
        """Whether a name was met that can be imported; random bytes are not taken for one."""
        self._content = content
        self._found = found
        self._arrays = arrays
        self._strict = strict
        self._past_arrays = False

    def run(self, stream: Stream) -> None:
        """Read all pickles until the end; raises Unreadable."""
        number, legacy = 1, False
        while number == 1 or not stream.at_end():
            self.place = self._content.place if number == 1 else f"{self._content.place}#{number}"
            machine = self._read(stream)
            legacy = legacy or (number == 1 and machine.result == LEGACY_MAGIC)
            if number == (LEGACY_OBJECT if legacy else 1):
                self._found.note_made(machine.result)
            if legacy and number == LEGACY_PICKLES:
                return
            number += 1
            if number > limits.MOST_PICKLES:
                raise TooLarge(f"It holds more than {limits.MOST_PICKLES} pickles.")

    def _read(self, stream: Stream) -> Machine:
        """Read one pickle, with those of the arrays in it."""
        machine = Machine(self._imported, self._unresolved, doubtful=not self._strict)
        frame_end = 0
        for opcode in read_opcodes(stream):
            STEPS[opcode.name](machine, opcode)
            self.called = self.called or machine.called
            if opcode.name == "FRAME":
                frame_end = stream.position + int.from_bytes(opcode.argument or b"", "little")
            elif opcode.name == "BUILD" and self.wrapped:
                self._pass_array(stream, machine, frame_end)
        if stream.position < frame_end:
            # What is left of the frame is thrown away by one unpickler, and read on by another.
            raise Unresolved("A frame goes on after the end of its pickle.")
        self._found.pickles += 1
        self._note(machine)
        return machine

    def _pass_array(self, stream: Stream, machine: Machine, frame_end: int) -> None:
        if not self._arrays:
            self._past_arrays = True
            return
        wrapper = joblib_arrays.wrapper_of(machine.top)
        if wrapper is None:
            return
        if stream.position < frame_end:
            # joblib's unpickler has the whole frame in memory, and reads the array after its end.
            raise Unresolved("An array of joblib stands inside of a frame of the pickle.")
        if not joblib_arrays.pass_over(stream, wrapper):
            inner = _Reading(self._content, self._found, arrays=False, strict=self._strict)
            inner._read(stream)
        machine.pop()
        machine.push(UNKNOWN)

    def _imported(self, name: Global) -> None:
        if self._past_arrays and not may_be_installed(name.module):
            # Read without joblib, what follows an array is mostly noise.
            raise Malformed(f"It imports {name}, which is no module.")
        self.wrapped = self.wrapped or str(name) == joblib_arrays.WRAPPER
        self.imported = self.imported or bool(_IMPORTABLE.fullmatch(str(name)))
        own = self._found.torch.script and name.module.partition(".")[0] == "__torch__"
        self._found.name(name, self.place, own=own)
        if name.module in _NUMPY:
            self._found.note_version("numpy", _NUMPY[name.module])

    def _unresolved(self, what: str) -> None:
        self.imported = True
        self._found.unreadable(Unresolved(what), self.place)

    def _note(self, machine: Machine) -> None:
        for key, texts in machine.texts.items():
            for text in texts:
                self._found.note_version(_LIBRARIES[key], text)
        self._found.pythons |= python_versions.pythons_of(machine.calls)
        self._found.torch.add(machine)
