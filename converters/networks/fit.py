"""Whether the tensors of a file are those of a network."""

from __future__ import annotations

from collections.abc import Mapping

from converters.errors import UnsupportedFile
from converters.formats.base import Reader
from converters.layouts import inverse
from converters.names.naming import Entry
from effnet_core import NetworkSpec, check_state, described


def check_fit(reader: Reader, spec: NetworkSpec, entries: tuple[Entry, ...], chosen: Mapping[str, str]) -> None:
    """Raise unless the chosen tensors (variable to name) are those of the network, in their shapes, and floating-point.

    Raises `CheckpointMismatch` with every difference, and `UnsupportedFile` for integers.
    """
    if not _fits(reader, entries, chosen):
        _refuse(reader, spec, entries, chosen)
    for name in chosen.values():
        dtype = reader.tensors[name].dtype
        if dtype.kind != "f" and dtype.name != "bfloat16":
            raise UnsupportedFile(
                f"{reader.path}: {name} holds {dtype.name} numbers; expected floating-point weights. "
                "Quantised checkpoints are not read; convert the floating-point one."
            )


def _fits(reader: Reader, entries: tuple[Entry, ...], chosen: Mapping[str, str]) -> bool:
    """Whether the chosen tensors are those of the network, in their shapes."""
    expected = {entry.name: entry.shape for entry in entries}
    found = {variable: reader.tensors[name].shape for variable, name in chosen.items()}
    return found == expected and len(found) == len(entries)


def _refuse(reader: Reader, spec: NetworkSpec, entries: tuple[Entry, ...], chosen: Mapping[str, str]) -> None:
    """Raise `CheckpointMismatch` with every difference between the chosen tensors and the network."""
    by_name = {entry.name: entry for entry in entries}
    shapes: dict[str, tuple[int, ...]] = {}
    for variable, name in chosen.items():
        shape = reader.tensors[name].shape
        entry = by_name.get(variable)
        if entry is None:
            shapes[name] = shape
        elif len(shape) == len(entry.axes):
            shapes[entry.parameter.name] = tuple(shape[axis] for axis in inverse(entry.axes))
        else:  # the kernels of experts are flat in every dialect; any other rank is wrong
            shapes[entry.parameter.name] = shape
    check_state(
        [entry.parameter for entry in entries],
        shapes,
        foreign={entry.parameter.name: entry.name for entry in entries},
        subject=str(reader.path),
        network=described(spec),
    )
