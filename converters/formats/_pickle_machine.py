"""The stack machine behind the pickles of state dicts: what its instructions do to stack, memo and values."""

from __future__ import annotations

import re
from typing import cast

from converters.errors import UnsupportedFile
from converters.formats._pickle_globals import GLOBALS, Global, placeholder
from converters.formats._pickle_values import Broken, Namespace, Opaque, build, storage_of
from converters.formats._torch_types import TensorView

RESAVE = "Load it in the program that made it, and save `model.state_dict()` alone with torch.save or as safetensors."
_MOST_PLACEHOLDERS = 1_000
"""Classes of objects beside the tensors; a training program has a few dozen."""
_LONGEST_PART = 1_000
_QUANTISED = re.compile(r"torch\.(?:q(?:u)?int[0-9]+(?:x[0-9])?|_utils\._rebuild_qtensor|(?:ao\.)?nn\.quantized\..*)")
"""What pickles of quantised tensors and modules name."""


class PickleMachine:
    """A pickle, the position in it, and the values so far: those on the stack, and those kept for later in the memo.

    Its methods raise `Broken`, `IndexError`, `KeyError` or `ValueError` for a pickle that contradicts itself, and
    `UnsupportedFile` for one that needs what is not allowed.
    """

    def __init__(self, data: bytes, *, where: str) -> None:
        self.data = data
        self.where = where
        self.position = 0
        self.stack: list[object] = []
        self._marks: list[list[object]] = []
        self.memo: dict[int, object] = {}
        self._placeholders: dict[tuple[str, str], Global] = {}

    # Reading

    def take(self, count: int) -> bytes:
        """The next bytes."""
        end = self.position + count
        if end > len(self.data):
            raise Broken("it is truncated")
        start, self.position = self.position, end
        return self.data[start:end]

    def take_int(self, width: int) -> int:
        """The next unsigned integer."""
        start = self.position
        end = self.position = start + width
        if end > len(self.data):
            raise Broken("it is truncated")
        return int.from_bytes(self.data[start:end], "little")

    def take_counted(self, width: int) -> bytes:
        """The next bytes, whose number stands before them."""
        start = self.position + width
        end = start + int.from_bytes(self.data[self.position : start], "little")
        if end > len(self.data):
            raise Broken("it is truncated")
        self.position = end
        return self.data[start:end]

    def take_line(self) -> str:
        """The next line of text."""
        end = self.data.index(b"\n", self.position)
        line = self.data[self.position : end].decode()
        self.position = end + 1
        return line

    # Stack

    def mark(self) -> None:
        """Start a group of values."""
        self._marks.append(self.stack)
        self.stack = []

    def pop_group(self) -> list[object]:
        """End the group: its values."""
        group, self.stack = self.stack, self._marks.pop()
        return group

    def pop_last(self, count: int) -> None:
        """Put the last values into a tuple."""
        if len(self.stack) < count:
            raise Broken("a tuple lacks values")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def remember_next(self) -> None:
        """Keep the top of the stack under the next free index."""
        self.memo[len(self.memo)] = self.stack[-1]

    # Values

    def push_global(self, module: object, name: object) -> None:
        """Push a global, or what stands for it. Raises `UnsupportedFile` for one that is refused."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise Broken("a global without a name")
        # Cut first: long names, kept in the memo and joined again and again, would fill the memory.
        module, name = module[:_LONGEST_PART], name[:_LONGEST_PART]
        self.stack.append(GLOBALS.get(f"{module}.{name}") or self._placeholder(module, name))

    def _placeholder(self, module: str, name: str) -> Global:
        found = self._placeholders.get((module, name)) or placeholder(module, name)
        if found is None:
            shown = f"{module}.{name}"[:120]
            if _QUANTISED.fullmatch(shown):
                raise UnsupportedFile(
                    f"{self.where} holds quantised weights ({shown}); expected floating-point ones. Save the model's "
                    "state_dict before it is quantised (torch.ao.quantization)."
                )
            raise UnsupportedFile(
                f"{self.where}: the pickle needs {shown!r}, which no state dict needs; it was neither imported nor "
                f"executed. {RESAVE}"
            )
        self._placeholders[module, name] = found
        if len(self._placeholders) > _MOST_PLACEHOLDERS:
            raise UnsupportedFile(f"{self.where}: objects of more than {_MOST_PLACEHOLDERS} classes. {RESAVE}")
        return found

    def set_items(self, pairs: list[object]) -> None:
        """Put keys and values, in turn, into the mapping on top of the stack."""
        target = self.stack[-1]
        if isinstance(target, (Opaque, Namespace)):
            return
        if not isinstance(target, dict) or len(pairs) % 2:
            raise Broken("items for what is no mapping")
        mapping = cast("dict[object, object]", target)
        for given, value in zip(pairs[::2], pairs[1::2], strict=True):
            key = f"<{given.name}>" if isinstance(given, Global | Opaque) else given
            if not _is_key(key):
                raise UnsupportedFile(f"{self.where}: a mapping has a key that is no text or small integer. {RESAVE}")
            mapping[key] = value

    def extend(self, values: list[object]) -> None:
        """Append to the list on top of the stack."""
        target = self.stack[-1]
        if isinstance(target, list):
            cast("list[object]", target).extend(values)
        elif not isinstance(target, Opaque | Namespace):
            raise Broken("values for what is no list")

    def add_state(self) -> None:
        """Drop the attributes of an object, unless it is nothing else."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Namespace):
            if isinstance(state, dict):
                target.attributes = cast("dict[object, object]", state)
        elif not isinstance(target, dict | Opaque | TensorView):
            raise Broken("attributes for what has none")

    def push_storage(self) -> None:
        """Replace a persistent identifier by the storage that it names."""
        self.stack.append(storage_of(self.stack.pop()))

    def call(self) -> None:
        """Replace a global and its arguments by what they would build."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Global):
            raise Broken("a call of what cannot be called")
        self.stack.append(build(function, arguments))


def _is_key(value: object) -> bool:
    # Deeply shared tuples take years to hash, and large integers can be chosen so that all hashes collide.
    if isinstance(value, str):
        return True
    return isinstance(value, bytes | None) or (isinstance(value, int) and -(1 << 31) <= value < 1 << 31)
