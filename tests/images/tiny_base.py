"""A base of two megabytes, written by hand: busybox and a program that is called tritonserver.

Nothing of Cloche makes it, so that what Cloche reads is what the specification says. The program
tells what a container of the image sees, which is all that it is for.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TOOLS = (
    "sh", "cat", "df", "echo", "find", "head", "id", "ls", "nc", "nproc", "od", "printf", "pwd",
    "rm", "sleep", "stat", "tail", "test", "touch", "tr",
)  # fmt: skip
SERVER = """#!/bin/sh
echo "id=$(id -u):$(id -g)"
echo "home=$HOME"
echo "threads=$OMP_NUM_THREADS"
for word in "$@"; do echo "option=$word"; done
find /models /cloche -exec stat -c 'file=%n %a %u:%g %Y %s' {} +
cat /models/*/config.pbtxt
touch /models/mine 2>/dev/null && echo "writes its models"
exit 0
"""
LABELS = {"cloche.base.triton": "26.07", "cloche.base.pythons": "3.12 3.11"}
_INTERPRETER = 3
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
ENV = ["PATH=/opt/tritonserver/bin:/bin", "NVIDIA_TRITON_SERVER_VERSION=26.07", "HOME=/"]


def busybox() -> Path | None:
    """The machine's busybox, if it is static: no program header asks for an interpreter."""
    found = shutil.which("busybox")
    if found is None:
        return None
    program = Path(found).read_bytes()
    offset, size, count = struct.unpack_from("<Q14xHH", program, 32)
    kinds = [struct.unpack_from("<I", program, offset + n * size)[0] for n in range(count)]
    return None if _INTERPRETER in kinds else Path(found)


def rootfs(
    program: bytes = b"no program", server: str = SERVER, more: Mapping[str, bytes] | None = None
) -> bytes:
    """A tar of the base's files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for folder in ("bin", "tmp", "opt", "opt/tritonserver", "opt/tritonserver/bin"):
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(member)
        files = {
            "bin/busybox": program,
            "opt/tritonserver/bin/tritonserver": server.encode(),
            **(more or {}),
        }
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            tar.addfile(member, io.BytesIO(data))
        for tool in TOOLS:
            member = tarfile.TarInfo(f"bin/{tool}")
            member.type, member.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(member)
    return stream.getvalue()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def configuration(layer: bytes, architecture: str = "amd64", **more: Any) -> dict[str, Any]:
    """The configuration of a base with one layer."""
    return {
        "architecture": architecture,
        "os": "linux",
        "config": {"Env": ENV, "Labels": LABELS, "Cmd": ["/bin/sh"], "Entrypoint": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        "history": [{"created_by": "by hand"}, {"created_by": "ENV", "empty_layer": True}],
        **more,
    }


class Layout:
    """An OCI layout that is written by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.manifests: list[dict[str, Any]] = []
        self.blobs: list[dict[str, Any]] = []

    def blob(self, data: bytes, media_type: str) -> dict[str, Any]:
        (self.folder / "blobs" / "sha256" / digest(data)[7:]).write_bytes(data)
        self.blobs.append({"mediaType": media_type, "digest": digest(data), "size": len(data)})
        return dict(self.blobs[-1])

    def image(
        self,
        layer: bytes,
        config: Mapping[str, Any],
        name: str | None = None,
        *,
        zipped: bool = True,
    ) -> str:
        """Add an image of one layer; return the digest of its manifest."""
        kind = "application/vnd.oci.image."
        stored = gzip.compress(layer, 6, mtime=0) if zipped else layer
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{kind}manifest.v1+json",
            "config": self.blob(json.dumps(config).encode(), f"{kind}config.v1+json"),
            "layers": [self.blob(stored, f"{kind}layer.v1.tar" + ("+gzip" if zipped else ""))],
        }
        entry = self.blob(json.dumps(manifest).encode(), f"{kind}manifest.v1+json")
        if name:
            entry["annotations"] = {"org.opencontainers.image.ref.name": name}
        self.manifests.append(entry)
        self.write_index()
        return str(entry["digest"])

    def refer(self, subject: str, kind: str, content: bytes) -> str:
        """Add an artefact whose subject is a manifest; return the digest of its own."""
        subjects = [each for each in self.blobs if each["digest"] == subject]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": kind,
            "config": self.blob(b"{}", "application/vnd.oci.empty.v1+json"),
            "layers": [self.blob(content, kind)],
            "subject": subjects[-1],
        }
        self.manifests.append(self.blob(json.dumps(manifest).encode(), MANIFEST))
        self.write_index()
        return str(self.manifests[-1]["digest"])

    def join(self, name: str, kind: str = INDEX) -> str:
        """Put all that is there under one index with a name; return its digest."""
        platforms = []
        for entry in self.manifests:
            path = self.folder / "blobs" / entry["digest"].replace(":", "/")
            config = json.loads(path.read_bytes())["config"]["digest"].replace(":", "/")
            said = json.loads((self.folder / "blobs" / config).read_bytes())
            plain = {key: entry[key] for key in ("mediaType", "digest", "size")}
            platform = {key: said[key] for key in ("os", "architecture")}
            platforms.append({**plain, "platform": platform})
        index = {"schemaVersion": 2, "mediaType": kind, "manifests": platforms}
        entry = self.blob(json.dumps(index).encode(), kind)
        entry["annotations"] = {"org.opencontainers.image.ref.name": name}
        self.manifests = [entry]
        self.write_index()
        return str(entry["digest"])

    def write_index(self) -> None:
        index = {"schemaVersion": 2, "manifests": self.manifests}
        (self.folder / "index.json").write_text(json.dumps(index))


def layout(folder: Path, program: bytes = b"no program", **more: Any) -> Path:
    """Write the base as an OCI layout."""
    files = rootfs(program)
    Layout(folder).image(files, configuration(files, **more), "example.com/triton:26.07")
    return folder


def layout_of_both(folder: Path) -> Path:
    """Write the base for amd64 and arm64."""
    files, written = rootfs(), Layout(folder)
    for architecture in ("amd64", "arm64"):
        written.image(files, configuration(files, architecture), "example.com/triton:26.07")
    return folder


def docker_archive(path: Path, program: bytes = b"no program", *, zipped: bool = False) -> Path:
    """Write the base as `docker save` of Docker 20.10 does, where a second layer may be a link."""
    files = rootfs(program)
    config = configuration(files)
    config["rootfs"]["diff_ids"] *= 2
    config["history"] = []
    data = json.dumps(config).encode()
    stored = gzip.compress(files, 6, mtime=0) if zipped else files
    manifest = [
        {"Config": "c.json", "RepoTags": ["triton:26.07"], "Layers": ["a/l.tar", "b/l.tar"]}
    ]
    with tarfile.open(path, "w") as tar:
        for name, content in {
            "c.json": data, "a/l.tar": stored, "manifest.json": json.dumps(manifest).encode(),
        }.items():  # fmt: skip
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("b/l.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../a/l.tar"
        tar.addfile(link)
    return path
