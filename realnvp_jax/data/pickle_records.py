"""Read pickles without executing anything that they contain.

A pickle is a program for a stack machine, one of whose instructions calls any function by name. The machine in this
module knows only the instructions that build numbers, text, bytes, tuples, lists and dicts. Every class and function is
a `Name`, and every call of one is a `Record` of its arguments, so that nothing is imported or called.
"""

import dataclasses
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Name:
    """A class or function that a pickle refers to, such as "numpy.dtype"."""

    text: str


@dataclasses.dataclass(eq=False, repr=False)
class Record:
    """What a pickle would have called: its name, its arguments, and the state to set afterwards."""

    name: str
    args: tuple[Any, ...]
    state: Any = None


def read_pickle(path: Path) -> Any:
    """The object in a pickle, with a `Record` for each object other than numbers, text, bytes, tuples, lists and dicts.

    Raises:
      ValueError: the file is not a pickle, or has an instruction that plain data do not need, or more than a million
        instructions. A table has a few for each block of its values and for each column.
    """
    machine = _Machine()
    with path.open("rb") as file:
        for i, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if i == _MOST_INSTRUCTIONS:
                raise ValueError(f"a pickle with more than {_MOST_INSTRUCTIONS:,} instructions")
            if opcode.name == "STOP":
                return machine.pop()
            machine.execute(opcode.name, argument)
    raise ValueError("a pickle without an end")


_MOST_INSTRUCTIONS = 10**6
_MARK = object()
_IGNORED = {"PROTO", "FRAME", "READONLY_BUFFER"}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "MARK": lambda: _MARK,
}
_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Machine:
    """The stack and the memo of a pickle that is being read."""

    def __init__(self):
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def pop(self) -> Any:
        """Remove and return the top of the stack."""
        if not self._stack or self._stack[-1] is _MARK:
            raise ValueError("a pickle that takes more from its stack than it put there")
        return self._stack.pop()

    def execute(self, opcode: str, argument: Any) -> None:
        """Execute an instruction."""
        push = self._stack.append
        if opcode in _IGNORED:
            return
        if opcode in _CONSTANTS:
            push(_CONSTANTS[opcode]())
        elif opcode in _LITERALS:
            push(argument)
        elif opcode in _TUPLES:
            push(tuple(reversed([self.pop() for _ in range(_TUPLES[opcode])])))
        elif opcode == "TUPLE":
            push(tuple(self._pop_to_mark()))
        elif opcode == "LIST":
            push(self._pop_to_mark())
        elif opcode in ("APPEND", "APPENDS"):
            items = [self.pop()] if opcode == "APPEND" else self._pop_to_mark()
            self._top(list).extend(items)
        elif opcode == "DICT":
            push({})
            self._set_items(self._pop_to_mark(below=1))
        elif opcode in ("SETITEM", "SETITEMS"):
            self._set_items(self._pop_to_mark() if opcode == "SETITEMS" else [self.pop(), self.pop()][::-1])
        elif opcode in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self._memo[len(self._memo) if argument is None else argument] = self._top(object)
        elif opcode in ("GET", "BINGET", "LONG_BINGET"):
            if argument not in self._memo:
                raise ValueError("a pickle that refers to an object which it does not contain")
            push(self._memo[argument])
        elif opcode == "GLOBAL":
            push(Name(argument.replace(" ", ".")))
        elif opcode == "STACK_GLOBAL":
            name, module = self.pop(), self.pop()
            push(Name(f"{_checked(module, str)}.{_checked(name, str)}"))
        elif opcode in ("REDUCE", "NEWOBJ"):
            arguments, function = _checked(self.pop(), tuple), _checked(self.pop(), Name)
            push(Record(function.text, arguments))
        elif opcode == "BUILD":
            state = self.pop()
            self._top(Record).state = state
        else:
            raise ValueError(f"a pickle with the instruction {opcode}, which tables do not need")

    def _pop_to_mark(self, below: int = 0) -> list[Any]:
        """The items above the last mark, which is removed; `below` items on the top of the stack stay there."""
        kept = [self.pop() for _ in range(below)]
        items = []
        while self._stack and self._stack[-1] is not _MARK:
            items.append(self._stack.pop())
        if not self._stack:
            raise ValueError("a pickle with a mark missing")
        self._stack.pop()
        self._stack += reversed(kept)
        return items[::-1]

    def _set_items(self, items: list[Any]) -> None:
        keys, values = items[::2], items[1::2]
        if len(keys) != len(values) or not all(isinstance(key, str) for key in keys):
            raise ValueError("a dict with keys that are not text")
        self._top(dict).update(zip(keys, values, strict=True))

    def _top(self, kind: type) -> Any:
        """The top of the stack, which must be of this type."""
        if not self._stack or self._stack[-1] is _MARK:
            raise ValueError("a pickle that takes more from its stack than it put there")
        return _checked(self._stack[-1], kind)


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"a {type(value).__name__} where a pickle of a table has a {kind.__name__}")
    return value
