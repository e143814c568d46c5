"""Every container of named arrays that is read and written. To add one, write its file and its row here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, cast

from converters.errors import FormatError, OutputError
from converters.formats.base import Reader, Writer


class Format(NamedTuple):
    """Where a format's code is (imported when it is needed), and what is usual for it."""

    title: str
    module: str
    reader: str
    writer: str | None
    """None where such files are read only."""
    suffixes: tuple[str, ...]
    """File name endings that ask for it as an output, none where it must be named; where one ends another, the longer
    stands first."""
    dialect: str
    """The dialect in which such a file is written unless another is named."""
    holds_companions: bool = False
    """True for a folder that holds the text files of `Dialect.companions` too, which its writer takes as metadata."""
    sorted_by_name: bool = False
    """True where arrays are stored in the order of their names, as its own library does."""


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "tensor-bundle": Format(
            title="TensorFlow checkpoint (tensor bundle)",
            module="converters.formats.tensor_bundle",
            reader="TensorBundleReader",
            writer="TensorBundleWriter",
            suffixes=(".ckpt", ".index"),
            dialect="official",
            sorted_by_name=True,
        ),
        "safetensors": Format(
            title="safetensors",
            module="converters.formats.safetensors",
            reader="SafetensorsReader",
            writer="SafetensorsWriter",
            suffixes=(".safetensors",),
            dialect="native",
        ),
        "hf-folder": Format(
            title="Hugging Face folder (model.safetensors and config.json)",
            module="converters.formats.hf_folder",
            reader="HfFolderReader",
            writer="HfFolderWriter",
            suffixes=(),
            dialect="effnet-torch",
            holds_companions=True,
        ),
        "npz": Format(
            title="NumPy archive",
            module="converters.formats.npz",
            reader="NpzReader",
            writer="NpzWriter",
            suffixes=(".npz",),
            dialect="native",
        ),
        "pth": Format(
            title="PyTorch file (zip)",
            module="converters.formats.pth",
            reader="PthReader",
            writer="PthWriter",
            suffixes=(".pth", ".pt", ".bin"),
            dialect="effnet-torch",
        ),
        "saved-model": Format(
            title="TensorFlow SavedModel",
            module="converters.formats.saved_model",
            reader="SavedModelReader",
            writer=None,
            suffixes=(),
            dialect="official",
        ),
        "keras-weights": Format(
            title="Keras 3 weights (HDF5)",
            module="converters.formats.keras_weights",
            reader="KerasWeightsReader",
            writer="KerasWeightsWriter",
            suffixes=(".weights.h5",),
            dialect="effnet-keras",
        ),
        "keras-h5": Format(
            title="Keras 2 model or weights (HDF5)",
            module="converters.formats.keras_h5",
            reader="KerasH5Reader",
            writer="KerasH5Writer",
            suffixes=(".h5", ".hdf5"),
            dialect="effnet-keras",
        ),
        "keras": Format(
            title="Keras archive; effnet.convert writes it",
            module="converters.formats.keras_archive",
            reader="KerasArchiveReader",
            writer=None,
            suffixes=(".keras",),
            dialect="effnet-keras",
        ),
    }
)
WRITTEN_FORMATS: tuple[str, ...] = tuple(name for name, row in FORMATS.items() if row.writer is not None)
"""Names of the formats that are written too."""


def find_format(name: str) -> Format:
    """The format of that name. Raises `FormatError` naming all formats when there is none."""
    if name not in FORMATS:
        near = get_close_matches(name, FORMATS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise FormatError(f"There is no format named {name!r}.{hint} Formats: {', '.join(FORMATS)}.")
    return FORMATS[name]


def output_format(path: Path) -> str:
    """The format that an output's name asks for. Raises `OutputError` when it asks for none."""
    for name, row in FORMATS.items():
        if path.name.endswith(row.suffixes) or (name == "tensor-bundle" and ".ckpt-" in path.name):
            return name
    known = ", ".join(suffix for row in FORMATS.values() for suffix in row.suffixes)
    raise OutputError(
        f"The name {path.name!r} does not say which format to write. End it with one of {known} "
        f"or pass --to-format (to_format=...) with one of {', '.join(WRITTEN_FORMATS)}."
    )


def reader_class(name: str) -> Callable[[Path], Reader]:
    """The reader of a format; called with a path, it opens the file."""
    row = find_format(name)
    return cast("Callable[[Path], Reader]", getattr(import_module(row.module), row.reader))


def writer_class(name: str) -> type[Writer]:
    """The writer of a format. Raises `OutputError` for one that is read only."""
    row = find_format(name)
    if row.writer is None:
        raise OutputError(
            f"A file of format {name} is read, but not written here. Formats to write: {', '.join(WRITTEN_FORMATS)}; "
            "effnet.convert and the command line write keras too."
        )
    return cast("type[Writer]", getattr(import_module(row.module), row.writer))


def open_reader(path: Path, *, name: str | None = None) -> Reader:
    """Open a checkpoint in the format that its bytes show, or in the one named.

    Raises `FormatError` and `UnsupportedFile` as `Reader` does.
    """
    if name is None:
        from converters.formats.detect import detect_format  # noqa: PLC0415 - it reads FORMATS in turn

        name = detect_format(path)
    return reader_class(name)(path)
