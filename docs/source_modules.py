"""The parsed modules of src/cloche: enclosing nodes, arguments of calls, values of names."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).parents[1] / "src" / "cloche"
UNKNOWN = "…"

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module:
    """One parsed file, with the parent of each node."""

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
        """Return whether a call is of a function defined in the module `defined`."""
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
        """Return whether a call looks like one of a method."""
        match call.func:
            case ast.Attribute(value=ast.Name(id=name)):
                return name not in self.imported
            case ast.Attribute():
                return True
        return False

    def function_of(self, node: ast.AST) -> Function | None:
        """Return the function that a node is in."""
        return next((outer for outer in self.outwards(node) if isinstance(outer, Function)), None)

    def class_of(self, node: ast.AST) -> ast.ClassDef | None:
        """Return the class that a node is in."""
        return next(
            (outer for outer in self.outwards(node) if isinstance(outer, ast.ClassDef)), None
        )

    def outwards(self, node: ast.AST) -> Iterator[ast.AST]:
        while (outer := self.around.get(node)) is not None:
            yield outer
            node = outer


def parts_of(node: ast.expr) -> list[ast.expr]:
    """Return the parts of a text, or its alternatives."""
    match node:
        case ast.JoinedStr(values=parts):
            return parts
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return [left, right]
        case ast.IfExp(body=first, orelse=second):
            return [first, second]
    return []


def called_name(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def argument(call: ast.Call, position: int, keyword: str) -> ast.expr | None:
    if len(call.args) > position and not isinstance(call.args[position], ast.Starred):
        return call.args[position]
    return next((given.value for given in call.keywords if given.arg == keyword), None)


def parameters(function: Function) -> list[str]:
    arguments = function.args
    named = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return named[1:] if named[:1] in (["self"], ["cls"]) else named


def passed_value(function: Function, name: str, call: ast.Call) -> ast.expr | None:
    """Return the argument of a call for a parameter, or the default."""
    given = argument(call, parameters(function).index(name), name)
    if given is not None:
        return given
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = dict(zip(reversed(positional), reversed(arguments.defaults), strict=False))
    defaults |= dict(zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True))  # type: ignore[arg-type]
    return next((value for each, value in defaults.items() if each.arg == name), None)


def fits(function: Function, call: ast.Call) -> bool:
    """Return whether a call passes all required parameters of a method, and more than one."""
    given = function.args
    required = len(parameters(function)) - len(given.defaults)
    required -= sum(default is not None for default in given.kw_defaults)
    return len(call.args) + len(call.keywords) >= required > 1


def assigned_values(module: Module, name: ast.Name) -> list[ast.expr]:
    """Return the last values assigned to a name before its use, in any enclosing block."""
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
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                yield value
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                for target, value in zip(names, values, strict=False):
                    if isinstance(target, ast.Name) and target.id == name:
                        yield value
            case ast.For(target=target) if _binds(target, name):
                yield ast.Constant(value=UNKNOWN)
            case ast.Assign(targets=[target]) if _binds(target, name):
                yield ast.Constant(value=UNKNOWN)


def _binds(target: ast.expr, name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(target))
