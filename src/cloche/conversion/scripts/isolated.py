"""Run a script without a network: `isolated.py SCRIPT ARGUMENTS…`.

The process moves into a network namespace of its own, which has no interface (unshare(2)); without
the right to do so it makes a user namespace first. Where the kernel allows neither, the script runs
all the same, since a model of the user's own may be loaded anywhere. This has to come before any
import that starts a thread. Syntax for Python 3.8.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import sys

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_NEW_USER = 0x10000000  # CLONE_NEWUSER


def close_network() -> bool:
    """Leave the network; return whether that worked."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare"):
        return False
    return bool(libc.unshare(_NEW_NETWORK) == 0 or libc.unshare(_NEW_USER | _NEW_NETWORK) == 0)


if __name__ == "__main__":
    close_network()
    sys.argv = sys.argv[1:]
    sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[0])))  # noqa: PTH100, PTH120
    runpy.run_path(sys.argv[0], run_name="__main__")
