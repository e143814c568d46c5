"""Names of PyTorch with what modules have put there that wrap a part of a network: to compile it, to spread it over
devices, to keep less of it in memory.

`features.0._checkpoint_wrapped_module.0.weight` is `features.0.0.weight` of the same network.
"""

from __future__ import annotations

import re

from converters.errors import counted
from converters.formats.around import ReaderAround
from converters.formats.base import Reader
from converters.names.dialect_choice import most_recognised

_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_checkpoint_wrapped_module|_fsdp_wrapped_module)\.")
"""Parts of names that torch.compile, checkpointing of activations and FSDP put in front of those of what they wrap."""


def without_wrappers(reader: Reader, *, prefix: str | None) -> Reader:
    """The same tensors under the names that the network has by itself, where more of these are known.

    The reader as it is where a wrapper holds the whole network, whose names begin with it, where the `prefix` that the
    user says has one, and where two tensors would have the same name, as of a network beside its compiled one.
    """
    if not any(_WRAPPERS.search(name) for name in reader.tensors) or _WRAPPERS.search(prefix or ""):
        return reader
    names = {_WRAPPERS.sub("", name): name for name in reader.tensors}
    if len(names) < len(reader.tensors):
        return reader
    other = _Unwrapped(reader, names)
    known, unwrapped = (most_recognised(one, prefix).count for one in (reader, other))
    return other if unwrapped > known else reader


class _Unwrapped(ReaderAround):
    """A reader that gives tensors other names."""

    def __init__(self, reader: Reader, names: dict[str, str]) -> None:
        """`names` are those that it gives, with those in the file."""
        super().__init__(reader)
        self._names = names
        self.tensors = {name: reader.tensors[held]._replace(name=name) for name, held in names.items()}
        changed = [held for name, held in names.items() if name != held]
        self.notes = (
            *reader.notes,
            f"Wrapping modules have put their own names into {counted(len(changed), 'name')}, such as {changed[0]}: "
            "read without them.",
        )

    def held(self, name: str) -> str:
        """The name in the file."""
        return self._names[name]
