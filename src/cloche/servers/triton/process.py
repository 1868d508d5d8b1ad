"""The argument list and the environment of one Triton process."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.environments import variables
from cloche.sandbox import surroundings
from cloche.servers.server import ServerAddresses, ServerCommand
from cloche.servers.triton import host
from cloche.servers.triton.completeness import is_complete
from cloche.servers.triton.serving import LIBRARIES, MODELS, unpacks_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cloche.servers.triton.installation import TritonInstallation

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  POSIX shared memory on Linux
_UNPACKED = "/tmp"  # noqa: S108
"""Where Triton unpacks a model's packed environment, or makes an empty folder: it knows no other
place."""
_PASSED_ON = (
    "HOME", "USER", "LOGNAME", "TZ", "LANG", "LC_ALL",
    "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES",
)  # fmt: skip
EXIT_SECONDS = 30.0
"""Seconds that Triton waits for its requests after it is asked to end."""
CLOSED_APIS = "shared-memory,model-repository,trace,logging"
"""What only a person who administers a server may ask of it."""
HARDENED = (
    "--model-control-mode=none",
    "--strict-readiness=true",
    "--exit-on-error=true",
    f"--exit-timeout-secs={round(EXIT_SECONDS)}",
    "--log-format=ISO8601",
)
"""Options that hold wherever Triton runs."""
STUB_TIMEOUT = "python,stub-timeout-seconds=120"


def command(
    installation: TritonInstallation,
    serving: Path,
    addresses: ServerAddresses,
    *,
    identity: str,
    environment: Mapping[str, str] | None = None,
) -> ServerCommand:
    """Return the command of the replica `identity` on a folder made by `lay_out`.

    On SIGTERM Triton takes no new requests and waits `EXIT_SECONDS` for those it has. Passes on
    only what a server needs of `environment` (default: this process's). Makes the folder in which
    the replica leaves its temporary files.
    """
    given = os.environ if environment is None else environment
    argv = _arguments(installation, serving, addresses, identity)
    scratch = scratch_folder(serving, identity)
    scratch.mkdir(parents=True, exist_ok=True)
    return ServerCommand(
        tuple(argv),
        _environment(installation, serving, scratch, given),
        scratch,
        tuple(_reads(installation, serving)),
        {_UNPACKED: unpacks_environment(serving)},
    )


def _reads(installation: TritonInstallation, serving: Path) -> Iterator[Path]:
    """Yield what a replica reads: its own repository, the server, and the Pythons of both."""
    for folder in (serving / MODELS, serving / LIBRARIES):
        yield folder
        yield from surroundings.leads_out(folder)
    yield installation.root
    yield from surroundings.python(installation.interpreter)


def _arguments(
    installation: TritonInstallation, serving: Path, addresses: ServerAddresses, identity: str
) -> list[str]:
    # Nobody knows this word, so the APIs behind it are closed to all who reach the server.
    word = secrets.token_hex(16)
    prefix = shared_memory_prefix(serving, identity)
    return [
        str(installation.executable),
        f"--id={identity}",
        f"--model-repository={serving / MODELS}",
        f"--backend-directory={installation.backends}",
        *HARDENED,
        *completion(serving / MODELS),
        *listening(addresses),
        f"--http-thread-count={_http_threads()}",
        f"--http-restricted-api={CLOSED_APIS}:cloche-closed={word}",
        f"--grpc-restricted-protocol={CLOSED_APIS}:cloche-closed={word}",
        "--allow-gpu-metrics=false",
        *_pinned_memory(),
        f"--backend-config=python,shm-region-prefix-name={prefix}",
        f"--backend-config={STUB_TIMEOUT}",
    ]


def sockets(folder: Path, name: str) -> ServerAddresses:
    """Return the addresses of a replica on Unix sockets in a folder, whose names begin so.

    Triton's options know hosts and ports alone. Its HTTP library takes an address `unix:PATH` for a
    socket and leaves out the port; its gRPC library gets both, joined by a colon, as one path.
    """
    path = f"unix:{folder / name}"
    return ServerAddresses(f"{path}.http", f"{path}.grpc:1", f"{path}.metrics")


def listening(addresses: ServerAddresses) -> list[str]:
    """Return the options by which Triton listens at addresses; see `sockets`."""
    return [
        *_address("http", addresses.http),
        *_address("grpc", addresses.grpc),
        *_address("metrics", addresses.metrics),
    ]


def _address(service: str, address: str) -> list[str]:
    host, port = address, "1"
    if service == "grpc" or not address.startswith("unix:"):
        host, _, port = address.rpartition(":")
    return [f"--{service}-address={host}", f"--{service}-port={port}"]


def shared_memory_prefix(serving: Path, identity: str) -> str:
    """Return the prefix of a replica's shared memory; no prefix begins another replica's."""
    return f"cloche-{_digest(serving, identity)[:20]}-"


def scratch_folder(serving: Path, identity: str) -> Path:
    """Return the folder of a replica's temporary files.

    Its name is short, since processes of a model make sockets there, whose paths hold 108 bytes.
    """
    return serving / f"tmp-{_digest(serving, identity)[:8]}"


def _digest(serving: Path, identity: str) -> str:
    return hashlib.sha256(f"{serving.absolute()}\0{identity}".encode()).hexdigest()


def clean(serving: Path, identity: str) -> int:
    """Remove the temporary files and the shared memory of a replica; return how many regions.

    All its processes must have ended; those of a killed one leave both.
    """
    shutil.rmtree(scratch_folder(serving, identity), ignore_errors=True)
    removed = 0
    for path in _SHARED_MEMORY.glob(f"{shared_memory_prefix(serving, identity)}*"):
        path.unlink(missing_ok=True)
        removed += 1
    return removed


def completion(models: Path) -> list[str]:
    """Return the option that keeps Triton from completing configurations that are complete."""
    folders = list(models.glob("*"))
    complete = bool(folders) and all(is_complete(model) for model in folders)
    return ["--disable-auto-complete-config"] if complete else []


def _pinned_memory() -> list[str]:
    """Return the option to pin no memory without a GPU: Triton would warn about it."""
    return [] if host.has_driver() else ["--pinned-memory-pool-byte-size=0"]


def _http_threads() -> int:
    return max(4, min(8, len(os.sched_getaffinity(0))))


def _environment(
    installation: TritonInstallation, serving: Path, scratch: Path, given: Mapping[str, str]
) -> dict[str, str]:
    """Return the smallest environment for server and stubs, without the user's secrets.

    An embedded Python finds its environment through `PATH`, so the server's comes first.
    """
    libraries = [
        serving / LIBRARIES,
        installation.libraries,
        installation.site_packages / "nvidia_pytriton.libs",
    ]
    passed_on = {name: given[name] for name in _PASSED_ON if given.get(name)}
    return {
        "LANG": "C.UTF-8",
        **passed_on,
        **variables.TELLS_NOBODY,
        **variables.leaves_files_in(scratch),
        "PATH": f"{installation.environment / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
        "PYTHONUNBUFFERED": "1",
        "PYTHONNOUSERSITE": "1",
    }
