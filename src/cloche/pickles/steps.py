"""What each opcode does to the machine."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

from cloche.pickles import limits
from cloche.pickles.streams import Malformed, TooLarge
from cloche.pickles.values import OTHER, UNKNOWN, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.pickles.machine import Machine
    from cloche.pickles.opcodes import Opcode
    from cloche.pickles.values import Value


def _number(opcode: Opcode) -> int:
    """Return an argument as an unsigned number, of bytes or of a line."""
    if opcode.lines:
        if opcode.lines[0] is None:
            raise TooLarge("It numbers a value with a text that is too long to be kept.")
        try:
            # int() as the unpickler calls it: blanks and underscores are taken.
            number = int(opcode.lines[0])
        except ValueError:
            raise Malformed("It numbers a value with no number.") from None
        if number < 0:
            raise Malformed("It numbers a value below zero.")
        return number
    return int.from_bytes(opcode.argument or b"", "little")


def _text(data: bytes | None) -> Value:
    try:
        return UNKNOWN if data is None else data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise Malformed("It has a text that is none.") from None


def _constant(value: Value) -> Callable[[Machine, Opcode], None]:
    return lambda machine, _: machine.push(value)


def _unsigned(machine: Machine, opcode: Opcode) -> None:
    machine.push(_number(opcode))


def _signed(machine: Machine, opcode: Opcode) -> None:
    data = opcode.argument
    machine.push(
        UNKNOWN if data is None or len(data) > 32 else int.from_bytes(data, "little", signed=True)
    )


def _decimal(machine: Machine, opcode: Opcode) -> None:
    line = opcode.lines[0]
    try:
        machine.push(int((line or b"").rstrip(b"L")) if line and len(line) < 32 else UNKNOWN)
    except ValueError:
        machine.push(UNKNOWN)


def _unicode(machine: Machine, opcode: Opcode) -> None:
    text = _text(opcode.argument)
    machine.push_kept(text, len(opcode.argument or b""))


def _unicode_line(machine: Machine, opcode: Opcode) -> None:
    line = opcode.lines[0]
    try:
        text: Value = UNKNOWN if line is None else line.decode("raw-unicode-escape")
    except UnicodeDecodeError:
        raise Malformed("It has a text that is none.") from None
    machine.push_kept(text, len(line or b""))


def _old_text(machine: Machine, opcode: Opcode) -> None:
    """Push a string of Python 2; an unpickler decodes it as ASCII unless it is told otherwise."""
    data = opcode.argument
    machine.push_kept(data.decode("latin-1") if data is not None else UNKNOWN, len(data or b""))


def _old_text_line(machine: Machine, opcode: Opcode) -> None:
    line = opcode.lines[0]
    plain = line is not None and len(line) > 1 and b"\\" not in line
    machine.push_kept(line[1:-1].decode("latin-1") if line and plain else UNKNOWN, len(line or b""))


def _bytes(machine: Machine, opcode: Opcode) -> None:
    data = opcode.argument
    machine.push_kept(OTHER if data is None else data, len(data or b""))


def _tuple_of(count: int) -> Callable[[Machine, Opcode], None]:
    def step(machine: Machine, _: Opcode) -> None:
        values = [machine.pop() for _ in range(count)]
        machine.push_kept(tuple(reversed(values)))

    return step


def _tuple(machine: Machine, _: Opcode) -> None:
    values = machine.pop_mark()
    machine.push_kept(tuple(values) if len(values) <= limits.LONGEST_TUPLE else OTHER)


def _empty_dict(machine: Machine, _: Opcode) -> None:
    machine.push_kept({})


def _dict(machine: Machine, _: Opcode) -> None:
    values = machine.pop_mark()
    machine.push_kept({})
    machine.set_items(values)


def _set_item(machine: Machine, _: Opcode) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items((key, value))


def _group(machine: Machine, _: Opcode) -> None:
    machine.pop_mark()
    machine.push(OTHER)


def _drop_group(machine: Machine, _: Opcode) -> None:
    machine.pop_mark()


def _into_list(machine: Machine, _: Opcode) -> None:
    machine.pop()
    machine.top  # noqa: B018 - there has to be one


def _into_group(machine: Machine, _: Opcode) -> None:
    machine.pop_mark()
    machine.top  # noqa: B018


def _duplicate(machine: Machine, _: Opcode) -> None:
    machine.push(machine.top)


def _get(machine: Machine, opcode: Opcode) -> None:
    machine.recall(_number(opcode))


def _put(machine: Machine, opcode: Opcode) -> None:
    machine.memoize(_number(opcode))


def _extension(machine: Machine, opcode: Opcode) -> None:
    machine.extend(_number(opcode))


def _lines_as_names(opcode: Opcode) -> tuple[Value, Value]:
    module, name = opcode.lines
    return _text(module), _text(name)


def _global(machine: Machine, opcode: Opcode) -> None:
    machine.push_kept(machine.import_(*_lines_as_names(opcode)))


def _stack_global(machine: Machine, _: Opcode) -> None:
    name, module = machine.pop(), machine.pop()
    machine.push_kept(machine.import_(module, name))


def _inst(machine: Machine, opcode: Opcode) -> None:
    arguments = machine.pop_mark()
    of = machine.import_(*_lines_as_names(opcode))
    machine.call(of, tuple(arguments[: limits.LONGEST_TUPLE]))


def _obj(machine: Machine, _: Opcode) -> None:
    of, *arguments = machine.pop_mark() or [UNKNOWN]
    machine.call(of, tuple(arguments[: limits.LONGEST_TUPLE]))


def _call(machine: Machine, _: Opcode) -> None:
    arguments, of = machine.pop(), machine.pop()
    machine.call(of, arguments)


def _call_with_keywords(machine: Machine, _: Opcode) -> None:
    keywords, arguments, of = machine.pop(), machine.pop(), machine.pop()
    machine.call(of, (arguments, keywords))


def _persistent(machine: Machine, _: Opcode) -> None:
    identifier = machine.pop()
    if isinstance(identifier, tuple) and len(machine.persistent) < limits.MOST_NAMES:
        machine.persistent.add(tuple(part for part in identifier if _plain(part)))
    machine.push(UNKNOWN)


def _plain(value: Value) -> bool:
    return isinstance(value, str | int | Unknown | type(None))


def _protocol(_: Machine, opcode: Opcode) -> None:
    if _number(opcode) > pickle.HIGHEST_PROTOCOL:
        raise Malformed(f"Its protocol {_number(opcode)} is not known.")


def _nothing(_: Machine, __: Opcode) -> None:
    pass


STEPS: dict[str, Callable[[Machine, Opcode], None]] = {
    "NONE": _constant(None),
    "NEWTRUE": _constant(1), "NEWFALSE": _constant(0),
    "INT": _decimal, "LONG": _decimal,
    "BININT": _signed, "BININT1": _unsigned, "BININT2": _unsigned,
    "LONG1": _signed, "LONG4": _signed,
    "FLOAT": _constant(OTHER), "BINFLOAT": _constant(OTHER),
    "STRING": _old_text_line, "BINSTRING": _old_text, "SHORT_BINSTRING": _old_text,
    "UNICODE": _unicode_line,
    "SHORT_BINUNICODE": _unicode, "BINUNICODE": _unicode, "BINUNICODE8": _unicode,
    "BINBYTES": _bytes, "SHORT_BINBYTES": _bytes, "BINBYTES8": _bytes,
    "BYTEARRAY8": _constant(OTHER), "NEXT_BUFFER": _constant(UNKNOWN), "READONLY_BUFFER": _nothing,
    "EMPTY_TUPLE": _tuple_of(0), "TUPLE1": _tuple_of(1), "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3), "TUPLE": _tuple,
    "EMPTY_LIST": _constant(OTHER), "LIST": _group, "APPEND": _into_list, "APPENDS": _into_group,
    "EMPTY_SET": _constant(OTHER), "FROZENSET": _group, "ADDITEMS": _into_group,
    "EMPTY_DICT": _empty_dict, "DICT": _dict, "SETITEM": _set_item,
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_mark()),
    "MARK": lambda machine, _: machine.mark(),
    "POP": lambda machine, _: machine.pop_or_unmark(),
    "POP_MARK": _drop_group,
    "DUP": _duplicate,
    "GET": _get, "BINGET": _get, "LONG_BINGET": _get,
    "PUT": _put, "BINPUT": _put, "LONG_BINPUT": _put,
    "MEMOIZE": lambda machine, _: machine.memoize(),
    "GLOBAL": _global, "STACK_GLOBAL": _stack_global, "INST": _inst, "OBJ": _obj,
    "EXT1": _extension, "EXT2": _extension, "EXT4": _extension,
    "REDUCE": _call, "NEWOBJ": _call, "NEWOBJ_EX": _call_with_keywords,
    "BUILD": lambda machine, _: machine.build(),
    "PERSID": _constant(UNKNOWN), "BINPERSID": _persistent,
    "PROTO": _protocol, "FRAME": _nothing,
    "STOP": lambda machine, _: machine.stop(),
}  # fmt: skip
