"""Sends one request to a pod and writes the answer to the log, in a Job beside it.

`request.json`: {host, port, method, path, headers, limit, digest of the body}. The body lies beside
it, or is a golden request in the image. The first line of the output is {status, headers, digest}
or {error}; the lines after it are the body in base64.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import sys
from pathlib import Path
from typing import Any

FOLDER = Path("/cloche/asked")
GOLDEN = Path("/cloche/golden")
BLOCK = 3 * 1024


def main() -> int:
    asked = json.loads((FOLDER / "request.json").read_text(encoding="utf-8"))
    try:
        head, data = _send(asked)
    except (OSError, http.client.HTTPException, LookupError) as error:
        head, data = {"error": str(error) or type(error).__name__}, b""
    sys.stdout.write(f"{json.dumps(head)}\n")
    for at in range(0, len(data), BLOCK):
        sys.stdout.write(f"{base64.b64encode(data[at : at + BLOCK]).decode()}\n")
    return int("error" in head)


def _send(asked: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    connection = http.client.HTTPConnection(asked["host"], asked["port"], timeout=asked["limit"])
    try:
        body = _body(asked["digest"])
        connection.request(asked["method"], asked["path"], body, asked["headers"])
        answer = connection.getresponse()
        data = answer.read()
        head = {"status": answer.status, "headers": answer.getheaders(), "digest": _digest(data)}
        return head, data
    finally:
        connection.close()


def _body(digest: str | None) -> bytes | None:
    """Return the bytes of a digest; raises LookupError if they are nowhere."""
    if digest is None:
        return None
    for path in (FOLDER / "body", *sorted(GOLDEN.rglob("*"))):
        if path.is_file() and _digest(path.read_bytes()) == digest:
            return path.read_bytes()
    raise LookupError(f"the body {digest} is not in the image")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
