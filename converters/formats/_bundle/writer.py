"""Writes a bundle, one array at a time."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from converters.errors import OutputError
from converters.formats._arrays import Expected, checked_nbytes, little_endian
from converters.formats._bundle.checksum import crc32c
from converters.formats._bundle.dtypes import NUMERIC, STRING
from converters.formats._bundle.files import PlainFiles
from converters.formats._bundle.index import GRAPH_KEY, HEADER_KEY, VALUE_SUFFIX
from converters.formats._bundle.messages import BundleEntry, BundleHeader, write_entry, write_header
from converters.formats._bundle.object_graph_writer import write_object_graph
from converters.formats._bundle.output import BundleOutput, output_prefix
from converters.formats._bundle.reader import FORMAT, TensorBundleReader
from converters.formats._bundle.sidecar import MAX_SIDECAR_BYTES, write_sidecar
from converters.formats._bundle.strings import write_strings
from converters.formats._bundle.table import masked
from converters.formats._bundle.table_writer import write_table
from converters.formats.base import Array, Location, TensorInfo, Writer


class TensorBundleWriter(Writer):
    """A bundle being written as TensorFlow's Saver writes it: one data file, tensors in the order of their names.

    `path` is the prefix, or `PREFIX.index`. Besides index and data, `PREFIX.effnet.json` takes the metadata, and a file
    `checkpoint` names the prefix where the folder has none; one that is there is left as it is.
    """

    format: ClassVar[str] = FORMAT

    def __init__(
        self, path: Path, tensors: Sequence[TensorInfo], metadata: Mapping[str, str], *, overwrite: bool, sync: bool
    ) -> None:
        self.prefix = output_prefix(path)
        self._tensors = tuple(tensors)
        self._metadata = metadata
        self._expected = Expected(tensors, path)
        self._offsets = _layout(path, self._tensors)
        self._checksums = [0] * len(self._tensors)
        self._is_finished = False
        self._output = BundleOutput(self.prefix, overwrite=overwrite, sync=sync)
        try:
            self._output.data.allocate(sum(info.nbytes for info in self._tensors))
        except BaseException:
            self.close()
            raise

    def write(self, array: Array) -> Location:
        """Write the next array at its place and read its bytes back."""
        index, _, plain = self._expected.take(array)
        self._output.data.overwrite_at(self._offsets[index], plain)
        self._checksums[index] = masked(crc32c(plain.reshape(-1).view(np.uint8)))
        return Location(path=self._output.data.path, offset=self._offsets[index])

    def finish(self) -> TensorBundleReader:
        """Write index and metadata and open the result, still without its final name."""
        self._finish()
        return TensorBundleReader(self.prefix, files=PlainFiles(self.prefix, paths=self._output.paths))

    def _finish(self) -> None:
        self._expected.check_complete()
        if self._is_finished:
            return
        entries = [*self._entries(), *self._object_graph()]
        index = write_table([(HEADER_KEY, write_header(BundleHeader(shards=1))), *sorted(entries)])
        sidecar = write_sidecar(self._metadata, index=index)
        if len(sidecar) > MAX_SIDECAR_BYTES:
            raise OutputError(f"{self.prefix}: expected at most {MAX_SIDECAR_BYTES} bytes of metadata to write.")
        self._output.index.write(index)
        self._output.sidecar.write(sidecar)
        self._is_finished = True

    def _entries(self) -> Generator[tuple[bytes, bytes]]:
        for info, offset, checksum in zip(self._tensors, self._offsets, self._checksums, strict=True):
            entry = BundleEntry(
                dtype=NUMERIC.key_of(little_endian(info.dtype)),
                shape=info.shape,
                offset=offset,
                size=info.nbytes,
                masked_crc32c=checksum,
            )
            yield info.name.encode(), write_entry(entry)

    def _object_graph(self) -> Generator[tuple[bytes, bytes]]:
        """Where every name is the path of an object, the graph that TensorFlow restores objects by, after the data."""
        names = [info.name for info in self._tensors]
        if not names or not all(name.endswith(VALUE_SUFFIX) for name in names):
            return
        data, checksum = write_strings([write_object_graph(names)])
        offset = max(offset + info.nbytes for info, offset in zip(self._tensors, self._offsets, strict=True))
        self._output.data.overwrite_at(offset, data)
        entry = BundleEntry(dtype=STRING, shape=(), offset=offset, size=len(data), masked_crc32c=checksum)
        yield GRAPH_KEY.encode(), write_entry(entry)

    def commit(self) -> tuple[Path, ...]:
        """Give the files their final names, the index after the data; says which files those are."""
        self._finish()
        return self._output.commit()

    def close(self) -> None:
        """Discard what was not committed."""
        self._output.close()


def _layout(path: Path, tensors: Sequence[TensorInfo]) -> list[int]:
    """Where the data of each tensor begins. Raises `OutputError` for what a bundle cannot hold."""
    for info in tensors:
        if not NUMERIC.holds(little_endian(info.dtype)):
            raise OutputError(
                f"{path}: a TensorFlow checkpoint cannot hold {info.dtype} ({info.name}); it knows "
                f"{', '.join(str(dtype) for dtype in NUMERIC.values())}. Choose another --dtype or another format."
            )
    offsets = [0] * len(tensors)
    end = 0
    for index in sorted(range(len(tensors)), key=lambda index: tensors[index].name.encode()):
        offsets[index] = end
        end += checked_nbytes(tensors[index].shape, tensors[index].dtype, where=tensors[index].name)
    return offsets
