"""Pin the Debian packages of Cloche's own base anew: `python3 .ci/debian_packages.py`.

Reads packages.in in src/cloche/images/bases/debian, takes the newest version that Debian 12 or its
security updates have of each, and writes packages.txt beside it. Needs dpkg, which compares
versions, and gpgv with Debian's keys (debian-archive-keyring), which say that the lists are
Debian's.
"""

from __future__ import annotations

import hashlib
import lzma
import subprocess
import sys
import tempfile
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "src" / "cloche" / "images" / "bases" / "debian"
MIRROR = "https://deb.debian.org"
SUITES = {"debian": "bookworm", "debian-security": "bookworm-security"}
ARCHITECTURES = ("amd64", "arm64")
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
HEADER = """\
# What packages.in asks for, pinned; made by `make base-packages`.
# Each line: architecture, name, version, bytes, SHA-256, where it lies in Debian's archives.
# Mirrors drop old versions; snapshot.debian.org has all of them, as of this time:
snapshot {time}
"""

Fields = dict[str, str]


def main() -> int:
    lines = (FOLDER / "packages.in").read_text(encoding="utf-8").splitlines()
    names = [line for line in lines if line and not line.startswith("#")]
    rows = [row for architecture in ARCHITECTURES for row in pinned(names, architecture)]
    time = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    text = HEADER.format(time=time) + "".join(f"{row}\n" for row in rows)
    (FOLDER / "packages.txt").write_text(text, encoding="utf-8")
    return 0


def pinned(names: list[str], architecture: str) -> list[str]:
    """Return the lines of one architecture."""
    found: dict[str, Fields] = {}
    for archive, suite in SUITES.items():
        for fields in packages(archive, suite, architecture):
            name = fields["Package"]
            if name in names and newer(fields, found.get(name)):
                found[name] = fields | {"Filename": f"{archive}/{fields['Filename']}"}
    if missing := set(names) - found.keys():
        sys.exit(f"Debian has no {', '.join(sorted(missing))} for {architecture}.")
    keys = ("Version", "Size", "SHA256", "Filename")
    return [" ".join([architecture, name, *(found[name][key] for key in keys)]) for name in names]


def newer(fields: Fields, other: Fields | None) -> bool:
    if other is None:
        return True
    words = ["dpkg", "--compare-versions", fields["Version"], "gt", other["Version"]]
    return subprocess.run(words, check=False).returncode == 0


def packages(archive: str, suite: str, architecture: str) -> list[Fields]:
    """Return the packages of a suite; its list has the digest that its signed release names."""
    base = f"{MIRROR}/{archive}/dists/{suite}"
    name = f"main/binary-{architecture}/Packages.xz"
    data = fetched(f"{base}/{name}")
    line = f" {hashlib.sha256(data).hexdigest()} "
    if not any(line in each and each.endswith(f" {name}") for each in release(base)):
        sys.exit(f"{base}/{name} is not what its release names.")
    text = lzma.decompress(data).decode("utf-8")
    return [
        dict(line.split(": ", 1) for line in entry.splitlines() if ": " in line and line[0] != " ")
        for entry in text.strip().split("\n\n")
    ]


def release(base: str) -> list[str]:
    """Return the lines of a release that Debian has signed."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(fetched(f"{base}/InRelease"))
        file.flush()
        words = ["gpgv", "--keyring", KEYS, "--output", "-", file.name]
        done = subprocess.run(words, check=True, capture_output=True)
    return done.stdout.decode("utf-8").splitlines()


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 of MIRROR
        data: bytes = answer.read()
    return data


if __name__ == "__main__":
    sys.exit(main())
