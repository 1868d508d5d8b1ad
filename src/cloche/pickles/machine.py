"""An unpickler's stack and memo without its calls: which names a pickle imports, and what it calls.

The meaning of each opcode is that of the documentation in the standard library's pickletools.
Nothing is imported and nothing is called: a call pushes an `Instance` that says of what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.pickles import limits
from cloche.pickles.allowed import makes_no_text
from cloche.pickles.memo import Memo
from cloche.pickles.streams import Malformed, TooLarge
from cloche.pickles.values import OTHER, UNKNOWN, Global, Instance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloche.pickles.values import Value

_COST = 200
"""Bytes that a remembered value takes beside its text."""


class Machine:
    """What one pickle has done so far.

    `imported` is told each name as it is met, `unresolved` why a name stays unknown. Where it is
    in doubt whether the bytes are a pickle at all, objects of a registry that hardly any process
    fills are taken for noise.
    """

    def __init__(
        self,
        imported: Callable[[Global], None],
        unresolved: Callable[[str], None],
        *,
        doubtful: bool = False,
    ) -> None:
        self.imported = imported
        self.unresolved = unresolved
        self._doubtful = doubtful
        self.calls: list[Instance] = []
        """Calls whose arguments may tell something: those of made types, see `python_versions`."""
        self.called = False
        self.persistent: set[tuple[Value, ...]] = set()
        """Identifiers of what is stored elsewhere, such as the storages of torch."""
        self.texts: dict[str, set[str]] = {}
        """Texts set under a name that tells a version."""
        self.result: Value = UNKNOWN
        self.stack: list[Value] = []
        self._outer: list[list[Value]] = []
        self._memo = Memo()
        self._room = limits.REMEMBERED

    # ── the stack ─────────────────────────────────────────────────────────────────────────────

    @property
    def top(self) -> Value:
        """Return the value on top of the stack."""
        if not self.stack:
            raise Malformed("It takes a value from an empty stack.")
        return self.stack[-1]

    def push(self, value: Value) -> None:
        """Put a value on the stack."""
        self.stack.append(value)
        if len(self.stack) > limits.DEEPEST_STACK:
            raise TooLarge(f"It stacks more than {limits.DEEPEST_STACK} values.")

    def push_kept(self, value: Value, size: int = 0) -> None:
        """Put a value on the stack that is remembered while there is room for it."""
        self._room -= size + _COST
        self.push(value if self._room > 0 else UNKNOWN)

    def pop(self) -> Value:
        """Take a value from the stack."""
        value = self.top
        self.stack.pop()
        return value

    def mark(self) -> None:
        """Begin a group of values."""
        self._outer.append(self.stack)
        self.stack = []
        if len(self._outer) > limits.DEEPEST_GROUPS:
            raise TooLarge(f"It opens more than {limits.DEEPEST_GROUPS} groups in one another.")

    def pop_mark(self) -> list[Value]:
        """Take the values of the last group from the stack."""
        if not self._outer:
            raise Malformed("It closes a group that was never opened.")
        values, self.stack = self.stack, self._outer.pop()
        return values

    def pop_or_unmark(self) -> None:
        """Take a value from the stack; in an empty group, take the group."""
        if self.stack:
            self.stack.pop()
        else:
            self.pop_mark()

    # ── the memo ──────────────────────────────────────────────────────────────────────────────

    def memoize(self, number: int | None = None) -> None:
        """Give the value on top a number."""
        value = self.top
        self._memo.put(len(self._memo) if number is None else number, value)

    def recall(self, number: int) -> None:
        """Put the value with a number on the stack."""
        try:
            self.push(self._memo.get(number))
        except KeyError:
            raise Malformed(f"It takes value {number}, which was not given.") from None

    # ── names and calls ───────────────────────────────────────────────────────────────────────

    def import_(self, module: Value, name: Value) -> Value:
        """Return what an import gives; both names have to be known."""
        if isinstance(module, str) and isinstance(name, str) and module and name:
            if len(module) + len(name) > limits.LONGEST_NAME:
                self.unresolved("It imports a name that is longer than any.")
                return UNKNOWN
            found = Global(module, name)
            self.imported(found)
            return found
        if any(map(_is_no_text, (module, name))):
            raise Malformed("It imports something that is no name.")
        self.unresolved("It imports a name that is put together while it is read.")
        return UNKNOWN

    def extend(self, number: int) -> None:
        """Put an object of copyreg's extension registry on the stack."""
        what = f"It takes object {number} of copyreg's extension registry."
        if self._doubtful:
            raise Malformed(what)
        self.unresolved(what)
        self.push(UNKNOWN)

    def call(self, of: Value, arguments: Value) -> None:
        """Put the result of a call on the stack."""
        self.called = True
        made = Instance(of, arguments)
        self.push_kept(made)
        # cloudpickle makes a code object by a call of the type that a call gave it.
        if isinstance(of, Instance) and len(self.calls) < limits.MOST_NAMES:
            self.calls.append(made)

    def build(self) -> None:
        """Set the state of the value on top."""
        state = self.pop()
        target = self.top
        self.called = True
        if isinstance(target, Global):
            self.unresolved(f"It changes {target} itself, not an object made of it.")
        elif isinstance(target, Instance):
            # The unpickler copies what it sets: a later change of the same dictionary is none here.
            target.state = dict(state) if isinstance(state, dict) else state
            target.built += 1

    def set_items(self, pairs: Sequence[Value]) -> None:
        """Set keys and values, in turn, on the value on top."""
        target = self.top
        items = target.items if isinstance(target, Instance) else target
        for given, value in zip(pairs[::2], pairs[1::2], strict=False):
            key = given if isinstance(given, str) else OTHER_KEYS
            if key in VERSION_KEYS and isinstance(value, str):
                self.texts.setdefault(key, set()).add(value)
            if isinstance(items, dict) and (key in items or len(items) < limits.MOST_KEYS):
                items[key] = value

    def stop(self) -> None:
        """Take the pickle's value from the stack."""
        self.result = self.pop()


def _is_no_text(value: Value) -> bool:
    """Return whether an unpickler refuses a value as a name: it has to be text and nothing else."""
    if isinstance(value, Instance):
        return isinstance(value.of, Global) and makes_no_text(value.of.module, value.of.name)
    return isinstance(value, tuple | int | bytes | dict) or value in {None, OTHER}


VERSION_KEYS = frozenset({"_sklearn_version", "pytorch-lightning_version", "transformers_version"})
"""Keys under which libraries write their version into the state of their objects."""
OTHER_KEYS = "\0"
"""Stands for every key that is no plain text; it may be equal to one, as numpy.str_ is."""
