"""Makes one call over gRPC to a pod and writes the answer to the log, in a Job beside it.

The image need not have gRPC's library: this speaks as much of HTTP/2 (RFC 9113) as a call with one
stream needs, and has the header table of the answer switched off (RFC 7541).

`request.json`: {host, port, path, headers, limit}. `body` beside it has the messages, each with its
prefix. The first line of the output is {status, message, digest} or {error}; the lines after it are
the messages of the answer, with their prefixes, in base64.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import struct
import sys
from pathlib import Path
from typing import Any

FOLDER = Path("/cloche/asked")
BLOCK = 3 * 1024
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LARGEST_FRAME, FIRST_WINDOW, LARGEST_WINDOW = 2**14, 2**16 - 1, 2**31 - 1
DATA, HEADERS, RESET, SETTINGS, PING, GO_AWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
ACK = END_STREAM = 0x1
END_HEADERS, PADDED, PRIORITY = 0x4, 0x8, 0x20
UNKNOWN = 2


def main() -> int:
    asked = json.loads((FOLDER / "request.json").read_text(encoding="utf-8"))
    try:
        call = Call(asked, (FOLDER / "body").read_bytes())
        call.run()
        data = bytes(call.data)
        head = {**status_of(call.blocks), "digest": hashlib.sha256(data).hexdigest()}
    except (OSError, EOFError, struct.error) as error:
        head, data = {"error": str(error) or type(error).__name__}, b""
    sys.stdout.write(f"{json.dumps(head)}\n")
    for at in range(0, len(data), BLOCK):
        sys.stdout.write(f"{base64.b64encode(data[at : at + BLOCK]).decode()}\n")
    return int("error" in head)


class Call:
    """One call on a connection of its own."""

    def __init__(self, asked: dict[str, Any], body: bytes) -> None:
        self.asked, self.body = asked, body
        self.sent, self.is_sent = 0, False
        self.windows = {0: FIRST_WINDOW, 1: FIRST_WINDOW}
        """How much may be sent, on the connection and on the stream."""
        self.data = bytearray()
        self.blocks: list[bytes] = []
        self.ended = False

    def run(self) -> None:
        address = self.asked["host"], self.asked["port"]
        with socket.create_connection(address, timeout=self.asked["limit"]) as self.socket:
            # No table of headers, no pushes, and a window that no answer fills.
            settings = struct.pack("!HIHIHI", 1, 0, 2, 0, 4, LARGEST_WINDOW)
            self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, settings))
            more = struct.pack("!I", LARGEST_WINDOW - FIRST_WINDOW)
            self.socket.sendall(frame(WINDOW, 0, 0, more))
            self.socket.sendall(frame(HEADERS, END_HEADERS, 1, self._headers()))
            with self.socket.makefile("rb") as self.stream:
                while not self.ended:
                    self._send()
                    self._receive()

    def _headers(self) -> bytes:
        authority = f"{self.asked['host']}:{self.asked['port']}"
        given = {
            ":method": "POST",
            ":scheme": "http",
            ":path": self.asked["path"],
            ":authority": authority,
            "te": "trailers",
            "content-type": "application/grpc",
            **self.asked["headers"],
        }
        return b"".join(b"\0" + text(key) + text(value) for key, value in given.items())

    def _send(self) -> None:
        """Send what the windows take of the body."""
        while not self.is_sent:
            room = min(LARGEST_FRAME, *self.windows.values())
            if room <= 0:
                return
            part = self.body[self.sent : self.sent + room]
            self.sent += len(part)
            for each in self.windows:
                self.windows[each] -= len(part)
            self.is_sent = self.sent == len(self.body)
            self.socket.sendall(frame(DATA, END_STREAM if self.is_sent else 0, 1, part))

    def _receive(self) -> None:
        head = self._read(9)
        length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        stream, data = int.from_bytes(head[5:], "big") & LARGEST_WINDOW, self._read(length)
        if kind == SETTINGS and not flags & ACK:
            for at in range(0, length, 6):
                key, value = struct.unpack("!HI", data[at : at + 6])
                if key == 4:
                    self.windows[1] += value - FIRST_WINDOW
            self.socket.sendall(frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            self.socket.sendall(frame(PING, ACK, 0, data))
        elif kind == WINDOW and stream in self.windows:
            self.windows[stream] += struct.unpack("!I", data)[0]
        elif kind in {RESET, GO_AWAY}:
            raise EOFError("the server ended the connection in the middle of its answer")
        elif kind == DATA:
            self.data += unpadded(data, flags)
        elif kind == HEADERS:
            self.blocks.append(unpadded(data, flags)[5 if flags & PRIORITY else 0 :])
        elif kind == CONTINUATION:
            self.blocks[-1] += data
        self.ended = self.ended or (kind in {DATA, HEADERS} and bool(flags & END_STREAM))

    def _read(self, count: int) -> bytes:
        found = self.stream.read(count)
        if len(found) < count:
            raise EOFError("the server closed the connection in the middle of its answer")
        return found


def frame(kind: int, flags: int, stream: int, data: bytes) -> bytes:
    return struct.pack("!I", len(data))[1:] + struct.pack("!BBI", kind, flags, stream) + data


def unpadded(data: bytes, flags: int) -> bytes:
    return data[1 : len(data) - data[0]] if flags & PADDED else data


def text(value: str) -> bytes:
    data = value.encode()
    return number(len(data), 7) + data


def number(value: int, bits: int) -> bytes:
    """Return a number of HPACK, of which the first octet has so many bits."""
    most = 2**bits - 1
    if value < most:
        return bytes([value])
    octets, value = [most], value - most
    while value >= 128:
        octets.append(value % 128 + 128)
        value //= 128
    return bytes([*octets, value])


def status_of(blocks: list[bytes]) -> dict[str, Any]:
    """Return the status of a call and its message: the last headers have them."""
    found: dict[str, str] = {}
    for block in blocks:
        found |= fields(block)
    status = found.get("grpc-status", "")
    return {
        "status": int(status) if status.isdecimal() else UNKNOWN,
        "message": found.get("grpc-message", "" if status else "It ended with no status."),
    }


def fields(block: bytes) -> dict[str, str]:
    """Return the headers that are written out; those of the static table are no status of gRPC.

    What is coded by Huffman is left out: gRPC's own servers write statuses as they are.
    """
    found, at = {}, 0
    while at < len(block):
        first = block[at]
        if first & 0x80:  # name and value of the table
            _, at = read_number(block, at, 7)
            continue
        if first & 0xE0 == 0x20:  # the size of the table
            _, at = read_number(block, at, 5)
            continue
        index, at = read_number(block, at, 6 if first & 0x40 else 4)
        name: str | None = ""
        if not index:
            name, at = read_text(block, at)
        value, at = read_text(block, at)
        if name and value is not None:
            found[name] = value
    return found


def read_text(block: bytes, at: int) -> tuple[str | None, int]:
    is_coded = bool(block[at] & 0x80)
    length, at = read_number(block, at, 7)
    data = block[at : at + length]
    return None if is_coded else data.decode("utf-8", "replace"), at + length


def read_number(block: bytes, at: int, bits: int) -> tuple[int, int]:
    most = 2**bits - 1
    value, at, shift = block[at] & most, at + 1, 0
    if value < most:
        return value, at
    while True:
        octet, at = block[at], at + 1
        value += (octet & 0x7F) << shift
        shift += 7
        if not octet & 0x80:
            return value, at


if __name__ == "__main__":
    sys.exit(main())
