"""Reads the pickles of state dicts. It imports nothing and calls nothing: a pickle is only data to it.

Python's own unpickler, even with an allow-list, lets a small file allocate gigabytes (a memo index of 2**31) or compute
for years (the hash of deeply shared tuples). Here an instruction does no more work than it has bytes and values, and
their number is bounded. Source of the instructions: Python's `pickletools`, protocols 2 to 5.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from converters.errors import FormatError, UnsupportedFile
from converters.formats._pickle_machine import RESAVE, PickleMachine
from converters.formats._pickle_values import Broken, Opaque

# A tensor takes about 40; the largest network here has 2,000, thrice that with moving averages and slots.
_MOST_INSTRUCTIONS = 1_000_000
_STOP = ord(".")
_SIGN = 1 << 31


def load_state(data: bytes, *, where: str) -> object:
    """The value of a pickle.

    Dicts, lists, tuples, numbers and text become themselves, tensors become `TensorView`, namespaces `Namespace`,
    objects of any other class `Opaque`. Raises `FormatError` for a damaged or hostile pickle, `UnsupportedFile` for one
    that needs globals or instructions that are not allowed.
    """
    machine = PickleMachine(data, where=where)
    try:
        for _ in range(_MOST_INSTRUCTIONS):
            code = data[machine.position]
            machine.position += 1
            instruction = _INSTRUCTIONS[code]
            if instruction is None:
                if code == _STOP:
                    return machine.stack.pop()
                raise UnsupportedFile(
                    f"{where}: the pickle instruction {bytes([code])!r} is not allowed in a state dict; nothing was "
                    f"executed. {RESAVE}"
                )
            instruction(machine)
    except (Broken, IndexError, KeyError, ValueError) as error:
        raise FormatError(
            f"{where}: the pickle is damaged or hostile near byte {machine.position} ({error}); nothing was executed."
        ) from error
    raise UnsupportedFile(f"{where}: a pickle of more than {_MOST_INSTRUCTIONS} instructions. {RESAVE}")


def _protocol(machine: PickleMachine) -> None:
    protocol = machine.take_int(1)
    if not 2 <= protocol <= 5:
        raise UnsupportedFile(f"{machine.where}: pickle protocol {protocol}; expected 2 to 5. {RESAVE}")


def _float(machine: PickleMachine) -> None:
    (value,) = struct.unpack(">d", machine.take(8))
    machine.stack.append(value)


def _stack_global(machine: PickleMachine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.push_global(module, name)


def _set_item(machine: PickleMachine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.set_items([key, value])


def _tuple_of(machine: PickleMachine) -> None:
    group = machine.pop_group()
    machine.stack.append(tuple(group))


def _set_of(machine: PickleMachine) -> None:
    machine.pop_group()
    machine.stack.append(Opaque("frozenset"))


def _text(width: int) -> Callable[[PickleMachine], None]:
    def push(machine: PickleMachine) -> None:
        start = machine.position + width
        end = start + int.from_bytes(machine.data[machine.position : start], "little")
        machine.position = end
        machine.stack.append(machine.data[start:end].decode())

    return push


def _bytes(width: int) -> Callable[[PickleMachine], None]:
    return lambda machine: machine.stack.append(machine.take_counted(width))


def _unsigned(width: int) -> Callable[[PickleMachine], None]:
    return lambda machine: machine.stack.append(machine.take_int(width))


def _signed(machine: PickleMachine) -> None:
    start = machine.position
    end = machine.position = start + 4  # behind the end of the data there is no next instruction
    machine.stack.append((int.from_bytes(machine.data[start:end], "little") ^ _SIGN) - _SIGN)


def _byte(machine: PickleMachine) -> None:
    machine.stack.append(machine.data[machine.position])
    machine.position += 1


def _get_by_byte(machine: PickleMachine) -> None:
    machine.stack.append(machine.memo[machine.data[machine.position]])
    machine.position += 1


def _constant(value: object) -> Callable[[PickleMachine], None]:
    return lambda machine: machine.stack.append(value)


def _tuple(count: int) -> Callable[[PickleMachine], None]:
    return lambda machine: machine.pop_last(count)


def _put(width: int) -> Callable[[PickleMachine], None]:
    def keep(machine: PickleMachine) -> None:
        start = machine.position
        end = machine.position = start + width
        machine.memo[int.from_bytes(machine.data[start:end], "little")] = machine.stack[-1]

    return keep


def _get(width: int) -> Callable[[PickleMachine], None]:
    return lambda machine: machine.stack.append(machine.memo[machine.take_int(width)])


_NAMED: Mapping[bytes, Callable[[PickleMachine], object]] = {
    b"\x80": _protocol,
    b"\x95": lambda machine: machine.take_int(8),  # FRAME: how far to read ahead; all is in memory
    b"(": PickleMachine.mark,
    b"0": lambda machine: machine.stack.pop(),
    b"1": lambda machine: machine.pop_group(),
    b"2": lambda machine: machine.stack.append(machine.stack[-1]),
    b"N": _constant(None),
    b"\x88": _constant(True),
    b"\x89": _constant(False),
    b"J": _signed,
    b"K": _byte,
    b"M": _unsigned(2),
    b"\x8a": lambda machine: machine.stack.append(int.from_bytes(machine.take_counted(1), "little", signed=True)),
    b"G": _float,
    b"\x8c": _text(1),
    b"X": _text(4),
    b"\x8d": _text(8),
    b"C": _bytes(1),
    b"B": _bytes(4),
    b"\x8e": _bytes(8),
    b"\x96": _bytes(8),
    b"U": _bytes(1),
    b"T": _bytes(4),
    b")": _constant(()),
    b"\x85": _tuple(1),
    b"\x86": _tuple(2),
    b"\x87": _tuple(3),
    b"t": _tuple_of,
    b"]": lambda machine: machine.stack.append([]),
    b"}": lambda machine: machine.stack.append({}),
    b"\x8f": _constant(Opaque("set")),
    b"\x91": _set_of,
    b"a": lambda machine: machine.extend([machine.stack.pop()]),
    b"e": lambda machine: machine.extend(machine.pop_group()),
    b"\x90": lambda machine: machine.extend(machine.pop_group()),
    b"s": _set_item,
    b"u": lambda machine: machine.set_items(machine.pop_group()),
    b"c": lambda machine: machine.push_global(machine.take_line(), machine.take_line()),
    b"\x93": _stack_global,
    b"Q": PickleMachine.push_storage,
    b"R": PickleMachine.call,
    b"\x81": PickleMachine.call,  # NEWOBJ: nothing is instantiated, so it is the same
    b"b": PickleMachine.add_state,
    b"q": _put(1),
    b"r": _put(4),
    b"\x94": PickleMachine.remember_next,
    b"h": _get_by_byte,
    b"j": _get(4),
}
_INSTRUCTIONS = [_NAMED.get(bytes([code])) for code in range(256)]
