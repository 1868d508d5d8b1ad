"""Lays Debian's packages out as the file system of an image.

What a server never reads is left out: manuals, translations, static libraries, tests. Licences and
what scanners read to know the packages (`/var/lib/dpkg/status.d`) stay. No script of a package is
run; what those would do that is needed here stands below.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cloche.images.bases.debian import deb, loader_cache
from cloche.images.bases.debian.packages import PYTHON
from cloche.images.layering.file_tree import FileTree, TreeFile, TreeFolder, TreeLink

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.images.bases.debian.packages import Package

LIBRARY = f"usr/lib/python{PYTHON}"
"""The standard library of Python, from the root of the image."""
PACKAGES = f"usr/local/lib/python{PYTHON}/dist-packages"
"""Where Debian's Python finds packages that are not Debian's."""
_MERGED = ("bin", "sbin", "lib", "lib64")
"""Folders that are links to those of the same name in /usr, from Debian 12 on."""
_KEPT = re.compile(
    r"usr/(bin|lib|lib64)/.*|usr/sbin/ldconfig|usr/share/doc/[^/]+(/copyright)?|usr/share/common-licenses/.*"
    r"|etc/(os-release|debian_version)"
)
_NEEDLESS = re.compile(
    # of the C library: conversions that Python has itself, and tools of developers
    r"usr/lib/[^/]+/gconv/.*|usr/bin/(iconv|locale|localedef|pldd|tzselect|zdump|bashbug)"
    # of OpenSSL and others
    r"|usr/lib/[^/]+/engines-3/.*|usr/lib/binfmt.d/.*|.*\.a"
    # of Python: other programs, tests, what is only linked against, and the old way to packages
    rf"|{LIBRARY}/(test|idlelib|tkinter|turtledemo|turtle\.py|lib2to3|ensurepip|pydoc_data"
    r"|sitecustomize\.py|config-[^/]+)(/.*)?"
    # modules of C whose libraries are not here, and those for Python's own tests
    rf"|{LIBRARY}/lib-dynload/(_curses|_curses_panel|_dbm|_tkinter|nis|readline|ossaudiodev|_test.*"
    r"|_xxtestfuzz|_ctypes_test|xxlimited.*)\..*"
)
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\ncloche:x:1000:1000::/tmp:/bin/bash\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\ncloche:x:1000:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
_FOLDERS = ("dev", "etc", "proc", "root", "run", "sys", "usr/lib64", "var/tmp", "tmp")
_SHARED = ("tmp", "var/tmp")


def of_system(packages: Iterable[tuple[Package, bytes]]) -> FileTree:
    """Return the tree of packages without Python, with the folders and accounts of a system.

    Raises ClocheError `image.debian.broken` and `image.tree`.
    """
    tree = FileTree()
    for path in _FOLDERS:
        tree.add(path, TreeFolder(shared=path in _SHARED))
    for path in _MERGED:
        tree.add(path, TreeLink(f"usr/{path}"))
    for path, text in _FILES.items():
        tree.add(path, TreeFile(text.encode()))
    for package, data in packages:
        if not _is_python(package):
            _lay_out(tree, package, data)
    tree.add(loader_cache.PATH, TreeFile(loader_cache.of_tree(tree)))
    return tree


def of_python(packages: Iterable[tuple[Package, bytes]]) -> FileTree:
    """Return the tree of Python's packages, without bytecode; raises as `of_system`."""
    tree = FileTree()
    tree.add("usr/bin/python3", TreeLink(f"python{PYTHON}"))
    tree.add("usr/bin/python", TreeLink("python3"))
    for package, data in packages:
        if _is_python(package):
            _lay_out(tree, package, data)
    return tree


def _is_python(package: Package) -> bool:
    return re.fullmatch(r"(lib)?python3.*", package.name) is not None


def _lay_out(tree: FileTree, package: Package, data: bytes) -> None:
    where = f"{package.name} {package.version}"
    said = deb.control(data, where)
    tree.add(f"var/lib/dpkg/status.d/{package.name}", TreeFile(said))
    for found in deb.files(data, where):
        path = _merged(found.path)
        if not _KEPT.fullmatch(path) or _NEEDLESS.fullmatch(path):
            continue
        if isinstance(found, deb.DebLink):
            tree.add(path, TreeLink(found.target))
        else:
            tree.add(path, TreeFile(found.data, found.executable))


def _merged(path: str) -> str:
    """Return where a file lies once /bin and its like are links."""
    return f"usr/{path}" if path.split("/", 1)[0] in _MERGED else path
