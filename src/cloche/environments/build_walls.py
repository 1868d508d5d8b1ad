"""What the build of a package may read: the system, a Python, and compilers; nothing of the user's.

Of a folder that is not the system's, such as `~/miniconda3`, it reads the parts that programs are
installed in. A folder that holds the user's home, or the home of Cloche, is never read whole.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.home import default_home

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store",
    "/gnu/store", "/sys/devices/system", "/sys/fs/cgroup", "/proc/cpuinfo", "/proc/filesystems",
    "/proc/meminfo", "/proc/stat", "/proc/sys", "/proc/uptime", "/proc/version",
)  # fmt: skip
"""Of /proc nothing of processes: it has the variables of others."""
_CONFIGURATION = (
    "alternatives", "debian_version", "group", "host.conf", "hosts", "ld.so.cache", "ld.so.conf",
    "ld.so.conf.d", "localtime", "lsb-release", "machine-id", "mime.types", "nsswitch.conf",
    "os-release", "passwd", "pki/tls/certs", "profile.d", "protocols", "services", "ssl/certs",
    "ssl/openssl.cnf", "timezone",
)  # fmt: skip
"""What everybody reads of /etc; not `shadow`, nor the keys of servers."""
_INSTALLED = ("bin", "include", "lib", "lib32", "lib64", "libexec")
_LISTS = ("CPATH", "LIBRARY_PATH", "PKG_CONFIG_PATH", "CMAKE_PREFIX_PATH")
_FLAGS = ("CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS")
_NAMED = re.compile(r"(?:^|\s)(?:-I|-L|-isystem\s*|--sysroot=)?(/[^\s]+)")
"""A path in flags of compilers."""


def readable(python: Path, programs: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """Return the files and folders that a build reads, beside its own folder.

    `python` is the program that it runs on, `programs` are others that are read alone.
    """
    found = [Path(each) for each in _SYSTEM]
    found += [Path("/etc", each) for each in _CONFIGURATION]
    found += _tools(python, environment)
    private = [
        Path(each).resolve()
        for each in (environment.get("HOME", ""), Path.home(), default_home(environment))
        if str(each).startswith("/")
    ]
    whole = [path for path in found if not any(each.is_relative_to(path) for each in private)]
    return sorted({str(path) for path in whole} | set(programs))


def _tools(python: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield where a Python, the programs of PATH, and what flags name are installed."""
    programs = [python.resolve().parent]
    programs += [Path(each) for each in environment.get("PATH", "").split(":") if each[:1] == "/"]
    for folder in programs:
        yield folder.resolve()
        if folder.name in {"bin", "sbin"}:
            yield from (folder.resolve().parent / name for name in _INSTALLED)
    for name in _LISTS:
        yield from (Path(each) for each in environment.get(name, "").split(":") if each[:1] == "/")
    for name in _FLAGS:
        yield from map(Path, _NAMED.findall(environment.get(name, "")))
