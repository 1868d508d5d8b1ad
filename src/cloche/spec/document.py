"""A YAML document as a tree with line numbers.

ruamel.yaml reads the text as events. This module makes the tree by the core schema of YAML 1.2
(section 10.3.2: `yes`, `on`, `1_000` and dates are text), and reports mistakes of hand-written
files by line: doubled keys, tags, several documents, and aliases that multiply without limit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cloche.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ruamel.yaml.events import Event, NodeEvent, ScalarEvent

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_NODES = 10_000

_CORE_SCHEMA: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"null|Null|NULL|~|"), lambda _text: None),
    (re.compile(r"true|True|TRUE"), lambda _text: True),
    (re.compile(r"false|False|FALSE"), lambda _text: False),
    (re.compile(r"[-+]?[0-9]{1,4000}"), int),
    (re.compile(r"0o[0-7]{1,4000}"), lambda text: int(text[2:], 8)),
    (re.compile(r"0x[0-9a-fA-F]{1,4000}"), lambda text: int(text[2:], 16)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (
        re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
        lambda text: float(text.replace(".", "")),
    ),
)


@dataclass(slots=True)
class Node:
    """A value and the line it begins on (from 1).

    `value` is a scalar, a list of nodes, or a dict of nodes by key; `key_lines` are the lines of a
    dict's keys. `count` is the number of nodes with aliases expanded.
    """

    value: Any
    line: int
    count: int = 1
    key_lines: dict[str, int] = field(default_factory=dict)

    def plain(self) -> Any:
        """Return the value as dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def line_of(self, path: tuple[str | int, ...]) -> int:
        """Return the line of a path's key, or of its nearest existing parent."""
        node, line = self, self.line
        for step in path:
            if isinstance(node.value, dict) and step in node.value:
                line, node = node.key_lines[str(step)], node.value[step]
            elif isinstance(node.value, list) and isinstance(step, int):
                node = node.value[step]
                line = node.line
            else:
                break
        return line


class DocumentProblem(Exception):
    """A mistake that makes a text unreadable as a document, with its line (from 1) if known."""

    def __init__(self, code: str, what: str, line: int | None = None, hint: str | None = None):
        super().__init__(what)
        self.code, self.what, self.line, self.hint = code, what, line, hint


def read(text: str, where: str) -> tuple[Node, list[UsageError]]:
    """Return the document in a text, and its mistakes that leave it readable.

    Raises UsageError (spec.syntax, spec.documents, spec.empty, spec.too_large) if unreadable.
    """
    try:
        composer = _Composer(_events(text), where)
        node = composer.document()
    except DocumentProblem as problem:
        place = f"{where}:{problem.line}" if problem.line else where
        raise UsageError(problem.code, problem.what, where=place, hint=problem.hint) from None
    return node, composer.errors


def _events(text: str) -> Iterator[Event]:
    """Yield the events of a text; raises DocumentProblem for text that the parser refuses."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _syntax(
            str(error.problem or error.context), mark.line + 1 if mark else None
        ) from None
    except ReaderError as error:
        position = error.position if isinstance(error.position, int) else 0
        raise DocumentProblem(
            "spec.syntax",
            f"The character U+{ord(text[position]):04X} is not allowed in YAML.",
            text.count("\n", 0, position) + 1,
            "Save the file as plain UTF-8 text.",
        ) from None
    except (YAMLError, ValueError, IndexError, TypeError, AttributeError, AssertionError) as error:
        raise DocumentProblem("spec.syntax", f"This is not YAML: {error}") from None


def _syntax(problem: str, line: int | None) -> DocumentProblem:
    if "'\\t'" in problem:
        what = "Tabs are not allowed for indentation."
        return DocumentProblem("spec.syntax", what, line, "Indent with spaces, two per level.")
    hint = (
        "Write one `key: value` per line; quote a value that contains `: ` or begins with @ or `."
    )
    return DocumentProblem("spec.syntax", f"This is not YAML: {problem}.", line, hint)


class _Composer:
    """Builds a tree from events; mistakes that leave it readable go to `errors`."""

    def __init__(self, events: Iterator[Event], where: str) -> None:
        self.events = events
        self.where = where
        self.errors: list[UsageError] = []
        self.anchors: dict[str, Node] = {}
        self.depth = 0
        self.count = 0

    def document(self) -> Node:
        from ruamel.yaml.events import DocumentEndEvent, DocumentStartEvent, StreamEndEvent

        next(self.events)  # the stream begins
        if isinstance(next(self.events), StreamEndEvent):
            raise _empty()
        node = self.node(next(self.events))
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                raise DocumentProblem(
                    "spec.documents",
                    "A second document begins here; a file describes one service.",
                    event.start_mark.line + 1,
                    "Put each service in its own file and deploy it with -f FILE.",
                )
            if not isinstance(event, DocumentEndEvent | StreamEndEvent):
                raise DocumentProblem("spec.syntax", "This is not YAML.", _line(event))
        if node.value is None:
            raise _empty()
        return node

    def node(self, event: Event) -> Node:
        from ruamel.yaml.events import (
            AliasEvent,
            MappingStartEvent,
            NodeEvent,
            ScalarEvent,
            SequenceStartEvent,
        )

        if not isinstance(event, NodeEvent):
            raise DocumentProblem("spec.syntax", "This is not YAML.", _line(event))
        if isinstance(event, AliasEvent):
            return self.alias(event)
        if isinstance(event, ScalarEvent):
            node = Node(self.scalar(event), _line(event))
        else:
            self.depth += 1
            if self.depth > MAX_DEPTH:
                what = f"Values are nested more than {MAX_DEPTH} deep."
                raise DocumentProblem("spec.too_large", what, _line(event))
            if isinstance(event, MappingStartEvent):
                node = self.mapping(event)
            elif isinstance(event, SequenceStartEvent):
                node = self.sequence(event)
            else:
                raise DocumentProblem("spec.syntax", "This is not YAML.", _line(event))
            self.depth -= 1
        self.check_count(1, event)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def alias(self, event: NodeEvent) -> Node:
        node = self.anchors.get(event.anchor)
        if node is None:
            what = f"The alias *{event.anchor} is used before it is defined."
            hint = "Define it first with &, or write the value out."
            raise DocumentProblem("spec.syntax", what, _line(event), hint)
        self.check_count(node.count, event)
        return node

    def check_count(self, count: int, event: Event) -> None:
        self.count += count
        if self.count > MAX_NODES:
            what = f"The file describes more than {MAX_NODES} values."
            hint = "Remove aliases that repeat others; a service needs only a few lines."
            raise DocumentProblem("spec.too_large", what, _line(event), hint)

    def sequence(self, start: Event) -> Node:
        from ruamel.yaml.events import SequenceEndEvent

        items: list[Node] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self.node(event))
        return Node(items, _line(start), 1 + sum(item.count for item in items))

    def mapping(self, start: Event) -> Node:
        from ruamel.yaml.events import MappingEndEvent, ScalarEvent

        node = Node({}, _line(start))
        while not isinstance(event := next(self.events), MappingEndEvent):
            line = _line(event)
            if not isinstance(event, ScalarEvent):
                raise DocumentProblem("spec.syntax", "A key must be a plain word.", line)
            key = event.value
            value = self.node(next(self.events))
            node.count += value.count
            if key in node.value:
                self.error(
                    "spec.duplicate",
                    f"`{key}` is defined twice; first on line {node.key_lines[key]}.",
                    line,
                    "Keep one of the two.",
                )
                continue
            node.value[key] = value
            node.key_lines[key] = line
        return node

    def scalar(self, event: ScalarEvent) -> Any:
        if event.tag not in {None, "!", "tag:yaml.org,2002:str"}:
            self.error(
                "spec.tag",
                f"YAML tags such as {event.tag} are not supported.",
                _line(event),
                "Remove it; the key determines the type of its value.",
            )
        if event.style is not None or event.tag is not None:
            return event.value
        return _resolve(event.value)

    def error(self, code: str, what: str, line: int, hint: str) -> None:
        self.errors.append(UsageError(code, what, where=f"{self.where}:{line}", hint=hint))


def _resolve(text: str) -> Any:
    """Return the value of a plain scalar in the core schema of YAML 1.2."""
    for pattern, made in _CORE_SCHEMA:
        if pattern.fullmatch(text):
            return made(text)
    return text


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1


def _empty() -> DocumentProblem:
    hint = "Write at least `model: MODEL`, or let `cloche init MODEL` write the file."
    return DocumentProblem("spec.empty", "The file is empty.", None, hint)
