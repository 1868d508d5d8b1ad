"""Results as aligned text, for people, and as JSON, for programs."""

from __future__ import annotations

import json
import math
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_GAP = "  "
_LEAST = 36
"""Characters that text beside a head has in a line, or it begins further left."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]], width: int | None = None) -> str:
    """Return a table whose columns are as wide as their widest cell.

    If it would be wider than `width`, the cells of its widest columns stand below their rows, each
    with the name of its column. Words, such as URLs, are never broken.
    """
    lines = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    beside, below = _columns(widths, width)
    name_width = max((len(header[column]) for column in below), default=0)
    shown = []
    for number, line in enumerate(lines):
        cells = (line[column].ljust(widths[column]) for column in beside)
        shown.append(_GAP.join(cells).rstrip())
        for column in below if number else ():
            head = f"{_GAP}{header[column].lower().ljust(name_width)}{_GAP}"
            head = head if name_width else _GAP
            shown += [hanging(head, line[column], width or 0)] if line[column] else []
    return "\n".join(shown)


def _columns(widths: Sequence[int], width: int | None) -> tuple[list[int], list[int]]:
    """Return the columns that stand beside each other within a width, and the others.

    The first one stays.
    """
    beside = list(range(len(widths)))
    while width is not None and len(beside) > 1:
        if sum(widths[each] for each in beside) + len(_GAP) * (len(beside) - 1) <= width:
            break
        beside.remove(max(beside[1:], key=lambda each: (widths[each], each)))
    return beside, [each for each in range(len(widths)) if each not in beside]


def hanging(head: str, text: str, width: int) -> str:
    """Return text after a head, in lines of at most `width` that begin where the first one does.

    Where too little would be left for them, they begin further left. Words are never broken.
    """
    indent = " " * (len(head) if width - len(head) >= _LEAST else 2 * len(_GAP))
    lines = textwrap.TextWrapper(
        width=width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    filled = []
    for number, line in enumerate(text.split("\n")):
        lines.initial_indent = indent if number else head
        filled.append(lines.fill(line.strip() if number else line))
    return "\n".join(filled)


def fields(pairs: Iterable[tuple[str, str]]) -> str:
    """Return `name  value` lines with the values aligned."""
    pairs = list(pairs)
    width = max((len(name) for name, _ in pairs), default=0)
    return "\n".join(f"{name.ljust(width)}{_GAP}{value}".rstrip() for name, value in pairs)


def json_text(value: Any) -> str:
    """Return a value as JSON on one line.

    JSON has no numbers that are not finite: they are the texts "NaN", "Infinity" and "-Infinity",
    as in the JSON of protocol buffers.
    """
    text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)
    if text.isascii() or _is_unicode(text):
        return text
    # The name of a file need not be text; its bytes are escaped.
    return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parity_text(parity: Iterable[dict[str, Any]], requests: int) -> str:
    """Return how close a conversion is, in words: `output up to 5.2e-06 off at scale 7.2, …`."""
    parts = []
    for each in parity:
        text = f"{each['name']} up to {each['max_absolute']:.2g} off at scale {each['scale']:.2g}"
        if each["labels"] is not None and not each["scale"]:
            text = f"{each['name']} equal in {each['labels'][0]} of {each['labels'][1]} rows"
        elif each["labels"] is not None:
            text += f" and {each['labels'][0]} of {each['labels'][1]} labels equal"
        if each["ties"]:
            text += f", without {each['ties']} ties by a float32 step"
        parts.append(text)
    count = f"{requests} request" + ("s" if requests != 1 else "")
    return f"{', '.join(parts)}, in {count} to both"


def verification_text(verification: dict[str, Any] | None) -> str:
    """Return `passed (reference, stored request, 12.0 ms)`, or `-` without a verification."""
    if verification is None:
        return "-"
    outcome = "passed" if verification["passed"] else "failed"
    judge, told = verification["judge"], verification.get("answer_from")
    request = f"{verification['origin']} request"
    said = f"{judge} of another machine" if told else judge
    return f"{outcome} ({said}, {request}, {verification['duration_ms']:.1f} ms)"


def judged_text(origin: str, judge: str, answer_from: str | None = None) -> str:
    """Return where a golden request comes from and what judges its answer, in words.

    `answer_from` is the image that the right answer came with.
    """
    if judge == "none":
        return _JUDGES[judge]
    there = f" on another machine, as {answer_from} tells" if answer_from else ""
    return f"{_ORIGINS[origin]}, {_JUDGES[judge]}{there}"


_ORIGINS = {
    "given": "the request was given",
    "stored": "the request is stored with the model",
    "made": "the request was made",
}
_JUDGES = {
    "expected": "its answer compared with the expected values",
    "reference": "its answer compared with the model's own framework",
    "types": "only types, shapes and finite values judged",
    "smoke": "only types and shapes judged",
    "none": "no request is known that the model accepts",
}
