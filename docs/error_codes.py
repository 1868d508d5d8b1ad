"""Find every error code in the source, for docs/reference/errors.md.

A code is the first argument of a call of ClocheError or one of its subclasses. If it or the
sentence is a name, it is looked up: in an assignment before the call, or in the arguments of the
enclosing function's callers. Text that is known only when the error is raised is shown as `…`.
"""

from __future__ import annotations

import ast
import itertools
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from source_modules import (
    SOURCE,
    UNKNOWN,
    Module,
    argument,
    assigned_values,
    called_name,
    fits,
    parameters,
    parts_of,
    passed_value,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from source_modules import Function

SKIPPED = ("testing",)
"""Doubles for tests raise their own codes."""
CARRIERS = {"DocumentProblem": "UsageError", "Unusable": "ClocheError"}
"""Exceptions with a code and a sentence that callers turn into an error of this class."""
CARRIED = {"lookalike": "Lookalike"}
"""Variables that hold a code and a sentence as fields, and the class of each."""
_CODE = re.compile(r"[a-z_]+(\.[a-z_…]+)*")
_DEEPEST = 4
_MOST = 12
"""Texts that an expression may have before it counts as unknown."""


@dataclass(frozen=True, slots=True)
class Raised:
    """One code with one sentence, at one place."""

    code: str
    kind: str
    """Name of the class."""
    what: str
    module: str
    """Path below src/cloche."""


class Source:
    """All modules, and the possible texts of their expressions."""

    def __init__(self) -> None:
        paths = sorted(SOURCE.rglob("*.py"))
        self.modules = [
            Module(path) for path in paths if path.relative_to(SOURCE).parts[0] not in SKIPPED
        ]
        self.classes = self._error_classes()
        self.fields: dict[tuple[str, str], list[str]] = {}
        """The texts of a carried variable's fields, for the value being examined."""
        self.callers: dict[str, list[tuple[Module, ast.Call]]] = defaultdict(list)
        for module in self.modules:
            for call in module.calls():
                self.callers[called_name(call)].append((module, call))

    def raised(self) -> Iterator[Raised]:
        """Yield every raised code with its sentence."""
        for module in self.modules:
            for call in module.calls():
                code, what = argument(call, 0, "code"), argument(call, 1, "what")
                if code is None or what is None:
                    continue
                for kind in self._kinds(module, call):
                    for _ in self._set_carried_fields(code):
                        yield from self._of(module, ast.Constant(value=kind), code, what)

    def _set_carried_fields(self, code: ast.expr) -> Iterator[None]:
        """Yield once per possible value of a carried variable in a code, else once."""
        names = {node.id for node in ast.walk(code) if isinstance(node, ast.Name)}
        carried = next(iter(names & CARRIED.keys()), None)
        for module, call in self.callers[CARRIED[carried]] if carried else ():
            for field, position in (("code", sys.maxsize), ("what", 0)):
                value = argument(call, position, field) or self._default(CARRIED[carried], field)
                self.fields[carried, field] = self.texts(module, value) if value else [UNKNOWN]
            yield None
        self.fields = {}
        if carried is None:
            yield None

    def _default(self, kind: str, field: str) -> ast.expr | None:
        """Return the default of a class's field."""
        for module in self.modules:
            for node in ast.walk(module.tree):
                if isinstance(node, ast.AnnAssign) and node.value is not None:
                    owner = module.class_of(node)
                    named = isinstance(node.target, ast.Name) and node.target.id == field
                    if named and owner is not None and owner.name == kind:
                        return node.value
        return None

    def findings(self) -> Iterator[Raised]:
        """Yield every code of a finding; `kind` is its severity."""
        for module in self.modules:
            for call in module.calls():
                if called_name(call) == "Finding" and len(call.args) > 2:
                    yield from self._of(module, *call.args[:3])

    def _of(
        self, module: Module, kind: ast.expr, code: ast.expr, what: ast.expr
    ) -> Iterator[Raised]:
        """Yield the errors that a call can make; all texts of an error come from one caller."""
        for context in self._contexts(module, code):
            texts = (self.texts(module, node, context) for node in (code, kind, what))
            where = context[0] if context is not None else module
            for text, name, what_text in itertools.product(*texts):
                if _CODE.fullmatch(text):
                    yield Raised(text, name, what_text, where.name)

    def _contexts(self, module: Module, code: ast.expr) -> list[tuple[Module, ast.Call] | None]:
        """Return the calls that pass a code; a single None if it is known here."""
        function = module.function_of(code)
        names = {node.id for node in ast.walk(code) if isinstance(node, ast.Name)}
        if function is None or not names & set(parameters(function)):
            return [None]
        return [*self._callers(module, function)] or [None]

    def _callers(self, module: Module, function: Function) -> Iterator[tuple[Module, ast.Call]]:
        """Yield the calls of a function; a method is matched by its name and arguments."""
        method = module.class_of(function) is not None
        for where, call in self.callers[function.name]:
            if function.name == "__init__":
                continue
            if method:
                called = where.calls_method(call) and fits(function, call)
            else:
                called = where.calls_function(call, module.dotted)
            if called:
                yield where, call

    # ── texts ─────────────────────────────────────────────────────────────────────────────────

    def texts(
        self,
        module: Module,
        node: ast.expr,
        context: tuple[Module, ast.Call] | None = None,
        depth: int = 0,
    ) -> list[str]:
        """Return the possible texts of an expression; the call `context` gives the parameters."""
        match node:
            case ast.FormattedValue(value=ast.Attribute(value=ast.Name(id=name), attr=field)):
                return self.fields.get((name, field), [UNKNOWN])
            case ast.Constant(value=str(text)):
                return [text]
            case ast.Attribute(value=ast.Name(id="Severity"), attr=severity):
                return [severity.lower()]
            case ast.Name() | ast.FormattedValue(value=ast.Name()):
                name = node if isinstance(node, ast.Name) else node.value
                return self._name(module, name, context, depth)
        parts = [self.texts(module, part, context, depth) for part in parts_of(node)]
        if isinstance(node, ast.IfExp):
            return _distinct(itertools.chain(*parts))
        return _concatenations(parts) if parts else [UNKNOWN]

    def _name(
        self, module: Module, name: ast.Name, context: tuple[Module, ast.Call] | None, depth: int
    ) -> list[str]:
        if depth >= _DEEPEST:
            return [UNKNOWN]
        values = assigned_values(module, name)
        if values:
            return _distinct(
                text for value in values for text in self.texts(module, value, context, depth + 1)
            )
        function = module.function_of(name)
        if function is None or name.id not in parameters(function):
            return [UNKNOWN]
        calls = [context] if context is not None else self._callers(module, function)
        texts: list[str] = []
        for where, call in calls:
            given = passed_value(function, name.id, call)
            texts += self.texts(where, given, None, depth + 1) if given is not None else [UNKNOWN]
        return _distinct(texts) or [UNKNOWN]

    # ── classes ───────────────────────────────────────────────────────────────────────────────

    def _error_classes(self) -> dict[str, str]:
        """Return the modules of ClocheError and its subclasses, by name."""
        defined = {
            node.name: (
                module.dotted,
                {base.id for base in node.bases if isinstance(base, ast.Name)},
            )
            for module in self.modules
            for node in ast.walk(module.tree)
            if isinstance(node, ast.ClassDef)
        }
        known = {"ClocheError"}
        while more := {name for name, (_, bases) in defined.items() if bases & known} - known:
            known |= more
        return {name: defined[name][0] for name in known}

    def _kinds(self, module: Module, call: ast.Call) -> list[str]:
        """Return the classes of the error that a call makes; empty if it makes no error."""
        name = called_name(call)
        if name in self.classes:
            return [name]
        if name in CARRIERS:
            return [CARRIERS[name]]
        if name == "__init__" and (inside := module.class_of(call)) is not None:
            return [inside.name] if inside.name in self.classes else []
        chosen = assigned_values(module, call.func) if isinstance(call.func, ast.Name) else []
        names = [
            node.id for value in chosen for node in ast.walk(value) if isinstance(node, ast.Name)
        ]
        return [name for name in names if name in self.classes]


def _concatenations(parts: Iterable[list[str]]) -> list[str]:
    """Return all concatenations of one text per part; too many become UNKNOWN."""
    alternatives = [texts if len(texts) <= _MOST else [UNKNOWN] for texts in parts]
    count = 1
    for texts in alternatives:
        count *= len(texts)
    if count > _MOST:
        alternatives = [texts if len(texts) == 1 else [UNKNOWN] for texts in alternatives]
    return _distinct("".join(chosen) for chosen in itertools.product(*alternatives))


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
