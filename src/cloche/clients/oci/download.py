"""Reading one blob, on from where a break left it."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from cloche.clients.oci.answers import mangled
from cloche.clients.patience import AgainError, Attempts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.clients.oci.answers import Access
    from cloche.clients.oci.transport import Transport

_CONTENT_RANGE = re.compile(r"bytes (\d+)-")


def read_blob(
    transport: Transport, access: Access, digest: str, start: int, size: int | None
) -> Iterator[bytes]:
    """Yield a blob from a byte on; at the end its digest is checked where it is read from 0.

    With `size`, the end is that many bytes, and more is an error at once.
    """
    sha256, position = hashlib.sha256(), start
    attempts = Attempts(transport.patience, transport.stop)
    while size is None or position < size:
        try:
            for block in _blocks(transport, access, digest, position):
                transport.stop.check()
                sha256.update(block)
                position += len(block)
                if size is not None and position > size:
                    raise mangled(
                        transport.asker(access), f"sends more than the {size} bytes of {digest}"
                    )
                attempts.reset()
                yield block
            break
        except AgainError as again:
            attempts.failed(again)
    whole = size is None or position == size
    right = start > 0 or f"sha256:{sha256.hexdigest()}" == digest
    if not whole or not right:
        raise mangled(transport.asker(access), f"sends other bytes than those of {digest}")


def _blocks(transport: Transport, access: Access, digest: str, start: int) -> Iterator[bytes]:
    """Yield what one request brings; raises AgainError where it breaks off."""
    headers = {"Range": f"bytes={start}-"} if start else {}
    target = f"/v2/{access.name}/blobs/{digest}"
    with transport.stream(target, access, headers=headers) as (status, answered, blocks):
        begins = _CONTENT_RANGE.match(answered.get("Content-Range", "")) if status == 206 else None
        skip = start - (int(begins[1]) if begins else 0)
        if skip < 0:
            raise mangled(transport.asker(access), f"sends another part of {digest}")
        for block in blocks:
            if skip < len(block):
                yield block[skip:]
            skip = max(0, skip - len(block))
