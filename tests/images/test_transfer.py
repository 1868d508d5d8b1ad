"""Blobs on their way: several at a time and no more, each once, and the first error ends all."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import tiny_base

from cloche.errors import ClocheError
from cloche.images.destinations.transfer import Transfer
from cloche.images.image import LAYER, Platform, Read, SmallBlob
from cloche.images.names import Name
from cloche.progress import SilentProgress


class Place:
    """A destination that counts who writes, and lets them wait for each other."""

    mounted: frozenset[str] = frozenset()

    def __init__(self, parallel: int, meeting: int) -> None:
        self.parallel = parallel
        self.written: list[str] = []
        self.most = 0
        self._writing = 0
        self._meeting = threading.Barrier(meeting)
        self._lock = threading.Lock()

    def addressed(self, size: int) -> bool:
        return size < 0

    def holds(self, digest: str) -> bool:
        return digest in self.written

    def write(self, read: Read, size: int, digest: str | None = None) -> str:
        with self._lock:
            self._writing += 1
            self.most = max(self.most, self._writing)
        self._meeting.wait(20)
        data = b"".join(read(0))
        assert len(data) == size
        with self._lock:
            self._writing -= 1
            self.written.append(tiny_base.digest(data))
        assert digest in {None, self.written[-1]}
        return tiny_base.digest(data)

    def put(self, manifest: SmallBlob) -> None: ...

    def finish(self, root: SmallBlob, name: Name | None, platform: Platform | None) -> None: ...


def blobs(number: int) -> list[SmallBlob]:
    return [SmallBlob(b"blob %d" % each, LAYER) for each in range(number)]


@pytest.mark.parametrize("parallel", [1, 4])
def test_several_at_a_time_and_no_more(parallel: int) -> None:
    place, several = Place(parallel, parallel), blobs(8)
    with SilentProgress().task("") as task:
        transfer = Transfer(place, task)
        transfer.bring([*several, *several])
        transfer.bring(several[:2])
    assert place.most == parallel
    assert sorted(place.written) == sorted(each.descriptor.digest for each in several)
    assert transfer.amounts.copied == sum(each.descriptor.size for each in several)
    assert transfer.amounts.there == sum(each.descriptor.size for each in several[:2])


class Endless:
    """A blob that has bytes for as long as nobody else fails."""

    def __init__(self, name: bytes, *, fails: bool) -> None:
        self.descriptor = SmallBlob(name, LAYER).descriptor
        self._fails = fails

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        while not self._fails:
            yield b"x"
        raise ClocheError("image.broken", "It is damaged.")


def test_the_first_error_ends_the_others_and_is_told() -> None:
    place = Place(4, 2)
    several = [Endless(b"a", fails=False), Endless(b"b", fails=True)]
    with SilentProgress().task("") as task, pytest.raises(ClocheError) as told:
        Transfer(place, task).bring(several)
    assert told.value.code == "image.broken"
    assert not place.written
    assert not [each for each in threading.enumerate() if each.name.startswith("cloche-blob")]
