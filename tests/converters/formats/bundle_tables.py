"""Bundles put together by hand, also such as no writer makes."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from converters.formats._bundle.checksum import crc32c
from converters.formats._bundle.dtypes import NUMERIC
from converters.formats._bundle.messages import (
    BundleEntry,
    BundleHeader,
    Extent,
    TensorSlice,
    read_entry,
    read_header,
    write_entry,
    write_header,
)
from converters.formats._bundle.ordered_code import encode_slice, tensor_prefix
from converters.formats._bundle.table import MAGIC, Compression, masked, read_table
from converters.formats._bundle.table_writer import write_table
from converters.formats._bundle.wire import varint

EMPTY_BLOCK = struct.pack("<II", 0, 1)
Items = list[tuple[bytes, bytes]]


def slice_key(name: bytes, part: TensorSlice) -> bytes:
    """The key of one slice of the tensor of that name."""
    return tensor_prefix(name) + encode_slice(part)


def plain_block(items: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A block whose keys share nothing."""
    return b"".join(raw_entry(0, key, value) for key, value in items) + EMPTY_BLOCK


def raw_entry(shared: int, suffix: bytes, value: bytes) -> bytes:
    return varint(shared) + varint(len(suffix)) + varint(len(value)) + suffix + value


def trailer(contents: bytes, compression: int = Compression.NONE) -> bytes:
    body = contents + bytes([compression])
    return bytes([compression]) + struct.pack("<I", masked(crc32c(body)))


def assemble(
    blocks: Sequence[tuple[bytes, bytes]],
    *,
    compression: int = Compression.NONE,
    metaindex: bytes = EMPTY_BLOCK,
    index: bytes | None = None,
    handles: tuple[int, int, int, int] | None = None,
    padding: bytes = b"\0",
) -> bytes:
    """A table of (last key, contents) blocks; index block and footer can be replaced by wrong ones."""
    out = bytearray()
    places: Items = []
    for key, contents in blocks:
        places.append((key, varint(len(out)) + varint(len(contents))))
        out += contents + trailer(contents, compression)
    meta = (len(out), len(metaindex))
    out += metaindex + trailer(metaindex)
    contents = plain_block(places) if index is None else index
    found = (*meta, len(out), len(contents))
    out += contents + trailer(contents)
    ends = b"".join(varint(number) for number in handles or found)
    return bytes(out) + ends.ljust(40, padding) + struct.pack("<Q", MAGIC)


@dataclass(kw_only=True)
class Bundle:
    """Header, entries and data of a bundle that can be changed before it is written."""

    header: BundleHeader = field(default_factory=lambda: BundleHeader(shards=1))
    entries: dict[bytes, BundleEntry] = field(default_factory=dict)
    data: bytes = b""

    def add(self, key: bytes, array: NDArray[Any]) -> None:
        plain = np.ascontiguousarray(array)
        self.add_raw(key, plain.reshape(-1).view(np.uint8).tobytes(), NUMERIC.key_of(plain.dtype), array.shape)

    def add_raw(self, key: bytes, content: bytes, dtype: int, shape: tuple[int, ...]) -> None:
        checksum = masked(crc32c(content))
        self.entries[key] = BundleEntry(
            dtype=dtype, shape=shape, offset=len(self.data), size=len(content), masked_crc32c=checksum
        )
        self.data += content

    def change(self, key: bytes, **changes: Any) -> Bundle:
        return replace(self, entries={**self.entries, key: replace(self.entries[key], **changes)})

    def without(self, key: bytes) -> Bundle:
        return replace(self, entries={name: entry for name, entry in self.entries.items() if name != key})

    def items(self) -> Items:
        entries = sorted((key, write_entry(entry)) for key, entry in self.entries.items())
        return [(b"", write_header(self.header)), *entries]

    def index(self) -> bytes:
        return write_table(self.items())

    def write(self, folder: Path, *, index: bytes | None = None, prefix: str = "model.ckpt") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{prefix}.index").write_bytes(self.index() if index is None else index)
        (folder / f"{prefix}.data-00000-of-00001").write_bytes(self.data)
        return folder / prefix


def arrays() -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(3)
    return {
        "block/kernel": random.normal(size=(3, 3, 4, 2)).astype(np.float32),
        "block/moving_mean": random.normal(size=7).astype(np.float64),
        "brain": random.normal(size=(5,)).astype(ml_dtypes.bfloat16),
        "flags": np.array([True, False, True]),
        "global_step": np.array(1234, dtype=np.int64),
        "half": random.normal(size=(2, 2)).astype(np.float16),
        "nothing": np.zeros((0, 3), dtype=np.float32),
        "split": random.normal(size=(5, 4)).astype(np.float32),
        "waves": (random.normal(size=3) + 1j).astype(np.complex64),
    }


SPLIT = {
    (Extent(start=0, length=3), Extent()): np.s_[0:3, :],
    (Extent(start=3, length=2), Extent(start=0, length=4)): np.s_[3:5, :],
}


def bundle(values: Mapping[str, NDArray[Any]] | None = None) -> Bundle:
    """One tensor of each kind, `split` in two slices."""
    made = Bundle()
    for name, array in (values or arrays()).items():
        key = name.encode()
        if name != "split":
            made.add(key, array)
            continue
        for part, region in SPLIT.items():
            made.add(slice_key(key, part), array[region])
        made.entries[key] = BundleEntry(dtype=1, shape=array.shape, slices=tuple(SPLIT))
    return made


def reserialised(index: bytes) -> bytes:
    """An index file, parsed down to the numbers and written again."""
    header, *entries = read_table(index)
    again = [(key, write_entry(read_entry(value))) for key, value in entries]
    return write_table([(header[0], write_header(read_header(header[1]))), *again])


def same_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
