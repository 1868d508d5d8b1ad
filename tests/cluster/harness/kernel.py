"""Settings of the kernel that a kubelet makes as it starts; here they are the machine's own.

Where memory is overcommitted without limit, a program that asks for more than there is gets it, and
the kernel then ends whatever it finds.
"""

from __future__ import annotations

from pathlib import Path

_ROOT = Path("/proc/sys")
_SET_BY_KUBELETS = (
    "vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
)  # fmt: skip


def settings() -> dict[str, str]:
    """Return the settings as they are."""
    return {name: (_ROOT / name).read_text().strip() for name in _SET_BY_KUBELETS}


def restore(before: dict[str, str]) -> None:
    """Make them again what they were."""
    for name, value in settings().items():
        if value != before[name]:
            (_ROOT / name).write_text(before[name])
