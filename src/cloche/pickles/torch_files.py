"""What torch's files tell beside their names: devices, and how their parameters are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.pickles.scan import TorchFacts, shown
from cloche.pickles.values import Instance

if TYPE_CHECKING:
    from cloche.pickles.machine import Machine
    from cloche.pickles.values import Value

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
"""The first pickle of torch's files before 1.6; `torch.serialization.MAGIC_NUMBER`."""
LEGACY_OBJECT, LEGACY_PICKLES = 4, 5
"""Magic number, protocol, system, the object and the keys of its storages; their bytes follow."""
_PREFIXES = ("_orig_mod.module.", "module._orig_mod.", "module.", "_orig_mod.")
_PARAMETERS = ("model_state_dict", "state_dict", "model")
_OF_A_TRAINING = frozenset({
    "optimizer", "optimizer_state_dict", "optimizer_states", "epoch", "global_step",
    "pytorch-lightning_version", "lr_scheduler", "scheduler_state_dict",
})  # fmt: skip


class TorchFound:
    """What was met so far."""

    def __init__(self) -> None:
        self.script = False
        self._devices: set[str] = set()
        self._items: dict[str, Value] | None = None

    def add(self, machine: Machine) -> None:
        """Take what one pickle tells, if it names storages of torch."""
        storages = [parts for parts in machine.persistent if parts[:1] == ("storage",)]
        for parts in storages:
            if len(parts) > 2 and isinstance(parts[2], str):
                self._devices.add(shown(parts[2][:64]))
        items = _items(machine.result)
        if storages and items:
            self._items = items

    def take(self, other: TorchFound) -> None:
        """Take over what was noted apart."""
        self._devices |= other._devices
        self._items = other._items or self._items

    def facts(self) -> TorchFacts | None:
        """Return the facts, or None if it is no file of torch."""
        if self._items is None and not self._devices and not self.script:
            return None
        items = self._items or {}
        parameters = next((found for key in _PARAMETERS if (found := _items(items.get(key)))), None)
        keys = [key for key in (items if parameters is None else parameters) if key.isprintable()]
        return TorchFacts(
            devices=tuple(sorted(self._devices)),
            keys=tuple(key for key in items if key.isprintable()),
            prefix=next(
                (p for p in _PREFIXES if keys and all(k.startswith(p) for k in keys)), None
            ),
            checkpoint=parameters is not None or bool(_OF_A_TRAINING & items.keys()),
            script=self.script,
        )


def _items(value: Value) -> dict[str, Value] | None:
    if isinstance(value, Instance):
        return value.items or None
    return (value or None) if isinstance(value, dict) else None
