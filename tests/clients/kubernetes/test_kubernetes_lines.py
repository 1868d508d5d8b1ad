"""Lines out of blocks, wherever the blocks end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloche.clients.kubernetes.lines import lines_of

BYTES = st.binary(max_size=8) | st.sampled_from(
    [b"\n", b"\n\n", b"a\r\n", b"\x0bb", "\u2028".encode()]
)


@given(st.lists(BYTES))
def test_lines(blocks: list[bytes]) -> None:
    *whole, last = b"".join(blocks).split(b"\n")
    assert list(lines_of(blocks)) == whole + [last] * bool(last)
