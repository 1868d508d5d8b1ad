"""The memo of an unpickler: values by number."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloche.pickles.values import Value


class Memo:
    """Values by number, as a list: picklers number from 0 on, and a dictionary is much larger.

    Numbers out of turn wait in a dictionary.
    """

    def __init__(self) -> None:
        self._listed: list[Value] = []
        self._others: dict[int, Value] = {}

    def __len__(self) -> int:
        """Return how many numbers are taken; MEMOIZE gives this one."""
        return len(self._listed) + len(self._others)

    def put(self, number: int, value: Value) -> None:
        """Give a number to a value."""
        if number < len(self._listed):
            self._listed[number] = value
        elif number > len(self._listed):
            self._others[number] = value
        else:
            self._others.pop(number, None)
            self._listed.append(value)
            while self._others and len(self._listed) in self._others:
                self._listed.append(self._others.pop(len(self._listed)))

    def get(self, number: int) -> Value:
        """Return the value of a number; raises KeyError for one that was not given."""
        if number < len(self._listed):
            return self._listed[number]
        return self._others[number]
