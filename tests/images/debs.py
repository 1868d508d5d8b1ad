"""Packages of Debian, written by hand."""

from __future__ import annotations

import io
import lzma
import tarfile
from collections.abc import Iterable

CONTROL = b"Package: small\nVersion: 1\n"


def member(name: str, data: bytes) -> bytes:
    """A member of an ar archive."""
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode()
    return header + data + b"\n" * (len(data) % 2)


def tar(entries: Iterable[tuple[str, bytes | str, bytes]]) -> bytes:
    """A tar of names, with bytes, or with the target of a link, by type."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content, kind in entries:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, 0o755
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.linkname = content
                archive.addfile(info)
    return stream.getvalue()


def deb(*entries: tuple[str, bytes | str, bytes], control: bytes = CONTROL) -> bytes:
    """A package with these files."""
    said = lzma.compress(tar([("./control", control, tarfile.REGTYPE)]))
    return b"!<arch>\n" + b"".join(
        member(name, data)
        for name, data in (
            ("debian-binary", b"2.0\n"), ("control.tar.xz", said),
            ("data.tar.xz", lzma.compress(tar(entries))),
        )
    )  # fmt: skip


def file(name: str, data: bytes = b"x") -> tuple[str, bytes, bytes]:
    return name, data, tarfile.REGTYPE


def link(name: str, target: str) -> tuple[str, str, bytes]:
    return name, target, tarfile.SYMTYPE
