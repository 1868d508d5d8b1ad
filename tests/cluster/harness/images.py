"""Images of single programs, for pods that are no models."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

from cloche.artifacts.encoding import digest_of
from cloche.clients.oci.registry import Registry
from cloche.images import platforms
from cloche.progress import SilentProgress

_OCI = "application/vnd.oci.image"
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_USER = 65532
_LIBRARY = re.compile(r"(/\S+) \(0x")


def push_program(host: str, name: str, program: Path) -> str:
    """Push an image of one program, with the libraries that it is linked to; return its reference.

    It runs as a user of its own, has no shell, and trusts the authorities that this machine trusts.
    The same program gives the same digest.
    """
    layer = _layer(name, program)
    config = json.dumps({
        "os": "linux",
        "architecture": platforms.here().architecture,
        "config": {
            "Entrypoint": [f"/bin/{name}"], "Env": ["PATH=/bin"], "User": f"{_USER}:{_USER}",
        },
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
        "history": [{"created_by": "a program of a test cluster"}],
    }).encode()  # fmt: skip
    manifest = json.dumps({
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": _described(config, "config.v1+json"),
        "layers": [_described(layer, "layer.v1.tar")],
    }).encode()  # fmt: skip
    with Registry(host, environment={"DOCKER_CONFIG": "/nonexistent"}) as registry:
        for blob in (layer, config):
            _upload(registry, name, blob)
        digest = registry.put_manifest(name, "latest", manifest, f"{_OCI}.manifest.v1+json")
    return f"{host}/{name}@{digest}"


def _upload(registry: Registry, name: str, blob: bytes) -> None:
    digest = digest_of(blob)
    if not registry.has_blob(name, digest):
        with SilentProgress().task(name) as task:
            registry.upload(name, digest, len(blob), lambda start: iter((blob[start:],)), task)


def _described(blob: bytes, kind: str) -> dict[str, str | int]:
    return {"mediaType": f"{_OCI}.{kind}", "digest": digest_of(blob), "size": len(blob)}


def _layer(name: str, program: Path) -> bytes:
    """Return a tar of what the program needs to run."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        _add(tar, "tmp", mode=0o1777)
        _add(tar, "etc/passwd", f"nonroot:x:{_USER}:{_USER}::/:/\n".encode())
        if _AUTHORITIES.exists():
            _add(tar, str(_AUTHORITIES), _AUTHORITIES.read_bytes())
        for library in _libraries(program):
            _add(tar, library, Path(library).read_bytes(), mode=0o755)
        _add(tar, f"bin/{name}", program.read_bytes(), mode=0o755)
    return stream.getvalue()


def _add(tar: tarfile.TarFile, path: str, data: bytes | None = None, mode: int = 0o644) -> None:
    """Add a file, or a folder where there is no data; parents come into being by themselves."""
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.mode = mode
    if data is None:
        entry.type = tarfile.DIRTYPE
        tar.addfile(entry)
    else:
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))


def _libraries(program: Path) -> Iterator[str]:
    """Yield the paths of the libraries, the loader among them; of a static program none."""
    done = subprocess.run(["ldd", program], capture_output=True, text=True, timeout=60, check=False)
    yield from _LIBRARY.findall(done.stdout)
