"""Find every error code in the source: docs/reference/errors.md is made of them.

A code is the first argument of a call of ClocheError or one of its subclasses. Where it or the
sentence is a name, it is looked up: an assignment before the call, or what the callers of the
function around it pass. What is only known when it is raised is shown as `…`.
"""

from __future__ import annotations

import ast
import itertools
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SOURCE = Path(__file__).parents[1] / "src" / "cloche"
SKIPPED = ("testing",)
"""Doubles for tests raise codes of their own."""
CARRIERS = {"DocumentProblem": "UsageError"}
"""Exceptions with a code and a sentence that become an error of this class further up."""
CARRIED = {"lookalike": "Lookalike"}
"""Variables that hold a code and a sentence as fields, and the class that is made for each."""
UNKNOWN = "…"
_CODE = re.compile(r"[a-z_]+(\.[a-z_…]+)*")
_DEEPEST = 4
_MOST = 12
"""How many texts one expression may have before it counts as unknown."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Raised:
    """One code with one sentence, at one place."""

    code: str
    kind: str
    """Name of the class."""
    what: str
    module: str
    """Path below src/cloche."""


class Module:
    """One parsed file; nodes know what is around them."""

    def __init__(self, path: Path) -> None:
        self.name = path.relative_to(SOURCE).as_posix()
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        self.dotted = ".".join(part for part in parts if part != "__init__")
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.imported = {
            alias.asname or alias.name: f"{node.module}.{alias.name}"
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        self.around = {
            child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)
        }

    def calls(self) -> Iterator[ast.Call]:
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))

    def calls_function(self, call: ast.Call, defined: str) -> bool:
        """Return whether a call is of a function that is defined in the module `defined`."""
        match call.func:
            case ast.Name(id=name):
                imported = self.imported.get(name, f"{self.dotted}.{name}")
            case ast.Attribute(value=ast.Name(id=module), attr=name):
                imported = f"{self.imported.get(module, '')}.{name}"
            case _:
                return False
        package = imported.rpartition(".")[0]
        return defined == package or defined.startswith(f"{package}.")

    def calls_method(self, call: ast.Call) -> bool:
        """Return whether a call is one of a method, as far as that can be seen."""
        match call.func:
            case ast.Attribute(value=ast.Name(id=name)):
                return name not in self.imported
            case ast.Attribute():
                return True
        return False

    def function_of(self, node: ast.AST) -> Function | None:
        """Return the function that a node is in."""
        return next((one for one in self.outwards(node) if isinstance(one, Function)), None)

    def class_of(self, node: ast.AST) -> ast.ClassDef | None:
        """Return the class that a node is in."""
        return next((one for one in self.outwards(node) if isinstance(one, ast.ClassDef)), None)

    def outwards(self, node: ast.AST) -> Iterator[ast.AST]:
        while (outer := self.around.get(node)) is not None:
            yield outer
            node = outer


class Source:
    """All modules, and the texts that their expressions can be."""

    def __init__(self) -> None:
        paths = sorted(SOURCE.rglob("*.py"))
        self.modules = [
            Module(path) for path in paths if path.relative_to(SOURCE).parts[0] not in SKIPPED
        ]
        self.classes = self._error_classes()
        self.fields: dict[tuple[str, str], list[str]] = {}
        """The texts of a carried variable's fields, while one value of it is looked at."""
        self.callers: dict[str, list[tuple[Module, ast.Call]]] = defaultdict(list)
        for module in self.modules:
            for call in module.calls():
                self.callers[_called(call)].append((module, call))

    def raised(self) -> Iterator[Raised]:
        """Yield every code that is raised, with what it says."""
        for module in self.modules:
            for call in module.calls():
                code, what = _argument(call, 0, "code"), _argument(call, 1, "what")
                if code is None or what is None:
                    continue
                for kind in self._kinds(module, call):
                    for _ in self._carried(code):
                        yield from self._of(module, ast.Constant(value=kind), code, what)

    def _carried(self, code: ast.expr) -> Iterator[None]:
        """Stop once per value that a carried variable in a code can have, else just once."""
        names = {node.id for node in ast.walk(code) if isinstance(node, ast.Name)}
        carried = next(iter(names & CARRIED.keys()), None)
        for module, call in self.callers[CARRIED[carried]] if carried else ():
            for field, position in (("code", sys.maxsize), ("what", 0)):
                value = _argument(call, position, field) or self._default(CARRIED[carried], field)
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
                if _called(call) == "Finding" and len(call.args) > 2:
                    yield from self._of(module, *call.args[:3])

    def _of(
        self, module: Module, kind: ast.expr, code: ast.expr, what: ast.expr
    ) -> Iterator[Raised]:
        """Yield what one call can make; what a caller passes is of the same caller."""
        for context in self._contexts(module, code):
            texts = (self.texts(module, node, context) for node in (code, kind, what))
            where = context[0] if context is not None else module
            for one, name, said in itertools.product(*texts):
                if _CODE.fullmatch(one):
                    yield Raised(one, name, said, where.name)

    def _contexts(self, module: Module, code: ast.expr) -> list[tuple[Module, ast.Call] | None]:
        """Return the calls that a code comes from; one None where it is known here."""
        function = module.function_of(code)
        names = {node.id for node in ast.walk(code) if isinstance(node, ast.Name)}
        if function is None or not names & set(_parameters(function)):
            return [None]
        return [*self._callers(module, function)] or [None]

    def _callers(self, module: Module, function: Function) -> Iterator[tuple[Module, ast.Call]]:
        """Yield the calls of a function, those of a method by its name and what they pass."""
        method = module.class_of(function) is not None
        for where, call in self.callers[function.name]:
            if function.name == "__init__":
                continue
            if method:
                called = where.calls_method(call) and _fits(function, call)
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
        """Return the texts that an expression can be; the call `context` gives the parameters."""
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
        parts = [self.texts(module, part, context, depth) for part in _parts(node)]
        if isinstance(node, ast.IfExp):
            return _distinct(itertools.chain(*parts))
        return _joined(parts) if parts else [UNKNOWN]

    def _name(
        self, module: Module, name: ast.Name, context: tuple[Module, ast.Call] | None, depth: int
    ) -> list[str]:
        if depth >= _DEEPEST:
            return [UNKNOWN]
        values = _assigned(module, name)
        if values:
            return _distinct(
                text for one in values for text in self.texts(module, one, context, depth + 1)
            )
        function = module.function_of(name)
        if function is None or name.id not in _parameters(function):
            return [UNKNOWN]
        calls = [context] if context is not None else self._callers(module, function)
        texts: list[str] = []
        for where, call in calls:
            given = _passed(function, name.id, call)
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
        """Return the classes of the error that a call makes; none where it makes no error."""
        name = _called(call)
        if name in self.classes:
            return [name]
        if name in CARRIERS:
            return [CARRIERS[name]]
        if name == "__init__" and (inside := module.class_of(call)) is not None:
            return [inside.name] if inside.name in self.classes else []
        chosen = _assigned(module, call.func) if isinstance(call.func, ast.Name) else []
        names = [node.id for one in chosen for node in ast.walk(one) if isinstance(node, ast.Name)]
        return [one for one in names if one in self.classes]


def _parts(node: ast.expr) -> list[ast.expr]:
    """Return what a text is put together from, or chosen from."""
    match node:
        case ast.JoinedStr(values=parts):
            return parts
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return [left, right]
        case ast.IfExp(body=first, orelse=second):
            return [first, second]
    return []


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _argument(call: ast.Call, position: int, keyword: str) -> ast.expr | None:
    if len(call.args) > position and not isinstance(call.args[position], ast.Starred):
        return call.args[position]
    return next((one.value for one in call.keywords if one.arg == keyword), None)


def _parameters(function: Function) -> list[str]:
    arguments = function.args
    named = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return named[1:] if named[:1] in (["self"], ["cls"]) else named


def _passed(function: Function, name: str, call: ast.Call) -> ast.expr | None:
    """Return what a call passes for a parameter, or its default."""
    given = _argument(call, _parameters(function).index(name), name)
    if given is not None:
        return given
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = dict(zip(reversed(positional), reversed(arguments.defaults), strict=False))
    defaults |= dict(zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True))  # type: ignore[arg-type]
    return next((value for one, value in defaults.items() if one.arg == name), None)


def _fits(function: Function, call: ast.Call) -> bool:
    """Return whether a call passes everything that a method has to be given, and that is much."""
    given = function.args
    required = len(_parameters(function)) - len(given.defaults)
    required -= sum(default is not None for default in given.kw_defaults)
    return len(call.args) + len(call.keywords) >= required > 1


def _assigned(module: Module, name: ast.Name) -> list[ast.expr]:
    """Return what a name was last assigned before, in the blocks around it or in the module."""
    inner: ast.AST = name
    for outer in module.outwards(name):
        for block in (getattr(outer, field, None) for field in ("body", "orelse", "finalbody")):
            if isinstance(block, list) and inner in block:
                for statement in reversed(block[: block.index(inner)]):
                    values = list(_assignments(statement, name.id))
                    if values:
                        return values
        inner = outer
    return []


def _assignments(statement: ast.stmt, name: str) -> Iterator[ast.expr]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return
    for node in ast.walk(statement):
        match node:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                yield value
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                for one, value in zip(names, values, strict=False):
                    if isinstance(one, ast.Name) and one.id == name:
                        yield value
            case ast.For(target=target) if _binds(target, name):
                yield ast.Constant(value=UNKNOWN)
            case ast.Assign(targets=[target]) if _binds(target, name):
                yield ast.Constant(value=UNKNOWN)


def _binds(target: ast.expr, name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(target))


def _joined(parts: Iterable[list[str]]) -> list[str]:
    """Return every way to put texts together, one of each part, as long as they are few."""
    alternatives = [one if len(one) <= _MOST else [UNKNOWN] for one in parts]
    count = 1
    for one in alternatives:
        count *= len(one)
    if count > _MOST:
        alternatives = [one if len(one) == 1 else [UNKNOWN] for one in alternatives]
    return _distinct("".join(chosen) for chosen in itertools.product(*alternatives))


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
