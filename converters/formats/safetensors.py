"""The format of safetensors: 8 bytes of header length, a JSON header, the plain data.

Source: https://huggingface.co/docs/safetensors/index#format and the checks of the `safetensors` crate 0.8. What the
specification leaves open is decided as there: at most 100 MB of header, no gaps, no overlaps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from converters.errors import OutputError
from converters.formats._arrays import Expected, checked_nbytes, little_endian, view
from converters.formats._hub_files import WEIGHTS
from converters.formats._input import InputFile
from converters.formats._safetensors_header import DTYPES, METADATA, parse_header
from converters.formats.base import Array, Location, Reader, Scratch, TensorInfo, Writer
from converters.formats.companions import read_companions
from converters.formats.plain_bytes import PlainBytes
from converters.formats.staging import StagedFile


class SafetensorsReader(Reader):
    """An open safetensors file. The format has no checksums: only its header and its length can be checked.

    Beside a file named `model.safetensors`, `config.json` and `preprocessor_config.json` are read into `metadata`.
    """

    format = "safetensors"

    def __init__(self, path: Path, *, scratch: Scratch | None = None) -> None:
        """`scratch` is a buffer that several readers may share, of which one is read at a time."""
        self.path = path
        self._file = InputFile(path)
        self._scratch = scratch or Scratch()
        try:
            header = parse_header(self._file)
        except BaseException:
            self.close()
            raise
        self.tensors = header.tensors
        self.metadata = header.metadata
        if path.name == WEIGHTS:
            companions, self.notes = read_companions(path.parent)
            self.metadata = {**header.metadata, **companions}
        self._offsets = header.offsets

    def read(self, name: str) -> Array:
        """The array; it is valid until the next `read` or `close`."""
        info = self.tensors[name]
        buffer = self._scratch.take(info.nbytes)
        self._file.fill(buffer, offset=self._offsets[name])
        return view(buffer, info.dtype, info.shape)

    def plain(self, name: str) -> PlainBytes:
        """The bytes of the array."""
        return PlainBytes(self._file, offset=self._offsets[name])

    def location(self, name: str) -> Location:
        """Where the plain bytes of the array are."""
        return Location(path=self.path, offset=self._offsets[name])

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class SafetensorsWriter(Writer):
    """A safetensors file being written.

    The header keeps the order of `tensors`. The data is sorted by item size, largest first, so that every array
    starts at a multiple of its item size: the framework loaders of `safetensors` cannot view it otherwise.
    """

    format: ClassVar[str] = "safetensors"

    def __init__(
        self, path: Path, tensors: Sequence[TensorInfo], metadata: Mapping[str, str], *, overwrite: bool, sync: bool
    ) -> None:
        self._expected = Expected(tensors, path)
        spans, end = _layout(tensors, path)
        header = _header(tensors, spans, metadata)
        self._staged = StagedFile(path, overwrite=overwrite, sync=sync)
        try:
            self._staged.allocate(len(header) + end)
            self._staged.write(header)
        except BaseException:
            self._staged.close()
            raise
        self._starts = [len(header) + start for start, _ in spans]
        self._staged.position = len(header) + end

    def write(self, array: Array) -> Location:
        """Write the next array at its place and read its bytes back."""
        index, _, plain = self._expected.take(array)
        self._staged.overwrite_at(self._starts[index], plain)
        return Location(path=self._staged.path, offset=self._starts[index])

    def reserve(self) -> Location:
        """The place of the next array."""
        return Location(path=self._staged.path, offset=self._starts[self._expected.skip()])

    def write_at(self, place: Location, start: int, data: Array) -> None:
        """Write a part of a reserved array and read it back."""
        self._staged.overwrite_at(place.offset + start, data)

    def finish(self) -> SafetensorsReader:
        """Open the result, still without its final name."""
        self._expected.check_complete()
        return SafetensorsReader(self._staged.path)

    def commit(self) -> tuple[Path, ...]:
        """Give the file its final name."""
        self._expected.check_complete()
        self._staged.commit()
        return (self._staged.target,)

    def close(self) -> None:
        """Discard what was not committed."""
        self._staged.close()


def _layout(tensors: Sequence[TensorInfo], path: Path) -> tuple[list[tuple[int, int]], int]:
    """Where the data of each array starts and ends, counted from the end of the header, and where the last one ends."""
    spans = [(0, 0)] * len(tensors)
    position = 0
    for index in sorted(range(len(tensors)), key=lambda index: -tensors[index].dtype.itemsize):
        info = tensors[index]
        if not DTYPES.holds(little_endian(info.dtype)):
            raise OutputError(
                f"{path}: safetensors cannot hold {info.dtype} ({info.name}); it knows {', '.join(DTYPES)}. "
                "Choose another --dtype or another format."
            )
        start, position = position, position + checked_nbytes(info.shape, info.dtype, where=info.name)
        spans[index] = (start, position)
    return spans, position


def _header(tensors: Sequence[TensorInfo], spans: Sequence[tuple[int, int]], metadata: Mapping[str, str]) -> bytes:
    """Length and JSON, padded with spaces so that the data starts at a multiple of 8 bytes."""
    entries: dict[str, object] = {METADATA: dict(metadata)} if metadata else {}
    for info, span in zip(tensors, spans, strict=True):
        if info.name == METADATA:
            raise OutputError(f"safetensors cannot hold an array of the name {METADATA!r}.")
        dtype = DTYPES.key_of(little_endian(info.dtype))
        entries[info.name] = {"dtype": dtype, "shape": info.shape, "data_offsets": span}
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
