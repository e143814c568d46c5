"""What an index file says: names, shapes, types and places of the arrays, checked against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from converters.errors import FormatError, UnsupportedFile
from converters.formats._arrays import checked_nbytes
from converters.formats._bundle.dtypes import NUMERIC, why_not_numeric
from converters.formats._bundle.messages import BundleEntry, BundleHeader, TensorSlice, read_entry, read_header
from converters.formats._bundle.ordered_code import SLICE_KEY_PREFIX, encode_slice, tensor_prefix
from converters.formats._bundle.table import read_table
from converters.formats.base import TensorInfo

HEADER_KEY = b""
BUNDLE_VERSION = 1
"""The only version of the bundle format that there is."""
GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
"""The graph of the objects that hold the variables."""
VALUE_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
"""Ends the key of every variable that is stored under the path of attributes that leads to it."""
MAX_SLICES = 1024
"""Of one tensor; the time to compare them with each other grows with the square."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A slice of a partitioned tensor and the entry that says where it is; a tensor in one piece is one part."""

    start: tuple[int, ...]
    entry: BundleEntry


@dataclass(frozen=True, kw_only=True)
class BundleIndex:
    """The arrays of a bundle, in the order of their data."""

    header: BundleHeader
    tensors: Mapping[str, TensorInfo]
    parts: Mapping[str, tuple[Part, ...]]
    """Where the arrays of `tensors` are."""
    skipped: Mapping[str, str]
    others: Mapping[str, BundleEntry]
    """Entries of `skipped` that have bytes of their own."""

    def pieces(self) -> Iterator[tuple[str, BundleEntry]]:
        """Every entry that has bytes in a data file."""
        yield from self.others.items()
        yield from ((name, part.entry) for name, parts in self.parts.items() for part in parts)

    def check_places(self, shard_bytes: Mapping[int, int]) -> None:
        """Raise `FormatError` unless every entry lies inside of its data file and over no other entry."""
        ends = dict.fromkeys(shard_bytes, 0)
        for name, entry in sorted(self.pieces(), key=lambda piece: (piece[1].shard, piece[1].offset, piece[1].size)):
            end = entry.offset + entry.size
            if end > shard_bytes[entry.shard]:
                raise FormatError(
                    f"{name} ends at byte {end} of data file {entry.shard}, which has only "
                    f"{shard_bytes[entry.shard]} bytes: it is truncated, or belongs to another index"
                )
            if entry.size and entry.offset < ends[entry.shard]:
                raise FormatError(
                    f"{name} begins at byte {entry.offset} of data file {entry.shard}, inside of the array before it, "
                    f"which ends at {ends[entry.shard]}"
                )
            ends[entry.shard] = max(end, ends[entry.shard])


def parse_index(data: bytes) -> BundleIndex:
    """Raises `FormatError` or `UnsupportedFile` without the name of the file, which the caller adds."""
    items = read_table(data)
    if not items or items[0][0] != HEADER_KEY:
        raise FormatError("expected the header of a bundle as the first entry, found none")
    header = _checked_header(items[0][1])
    slices: dict[bytes, BundleEntry] = {}
    entries: dict[str, BundleEntry] = {}
    for key, value in items[1:]:
        try:
            entry = read_entry(value)
            if entry.shard >= header.shards:
                raise FormatError(f"expected a data file below {header.shards}, found {entry.shard}")
            if key.startswith(SLICE_KEY_PREFIX):
                slices[key] = entry
            else:
                entries[key.decode()] = entry
        except (FormatError, UnicodeDecodeError) as error:
            raise FormatError(f"the entry {key[:200]!r}: {error}") from error
    return _resolve(header, entries, slices)


def _checked_header(value: bytes) -> BundleHeader:
    header = read_header(value)
    if header.min_consumer > BUNDLE_VERSION or header.producer < 0:
        raise UnsupportedFile(
            f"it asks for a reader of version {header.min_consumer} of the tensor bundle; version {BUNDLE_VERSION} is "
            "known here"
        )
    if header.shards < 1:
        raise FormatError(f"expected at least one data file, found a count of {header.shards}")
    return header


def _resolve(header: BundleHeader, entries: dict[str, BundleEntry], slices: dict[bytes, BundleEntry]) -> BundleIndex:
    """Give every tensor its parts; every slice must belong to one."""
    parts: dict[str, tuple[Part, ...]] = {}
    skipped: dict[str, str] = {}
    others: dict[str, BundleEntry] = {}
    for name, entry in entries.items():
        pieces = _take_slices(name, entry.slices, slices) if entry.slices else []
        if entry.dtype not in NUMERIC:
            skipped[name] = why_not_numeric(entry.dtype)
            others |= {f"{name}, slice {index}": piece for index, piece in enumerate(pieces)} or {name: entry}
        elif entry.slices:
            parts[name] = _partition(name, entry, pieces)
        else:
            parts[name] = (_whole(name, entry),)
    if slices:
        raise FormatError(f"expected every slice to belong to a tensor, found {next(iter(slices))!r} alone")
    order = sorted(parts, key=lambda name: (parts[name][0].entry.shard, parts[name][0].entry.offset))
    infos = {n: TensorInfo(name=n, shape=entries[n].shape, dtype=NUMERIC[entries[n].dtype]) for n in order}
    return BundleIndex(header=header, tensors=infos, parts=parts, skipped=skipped, others=others)


def _take_slices(name: str, regions: Sequence[TensorSlice], slices: dict[bytes, BundleEntry]) -> list[BundleEntry]:
    """Remove the entries of a tensor's slices from all slices."""
    if len(regions) > MAX_SLICES:
        raise FormatError(f"{name}: expected at most {MAX_SLICES} slices, found {len(regions)}")
    prefix = tensor_prefix(name.encode())
    pieces: list[BundleEntry] = []
    for region in regions:
        piece = slices.pop(prefix + encode_slice(region), None)
        if piece is None:
            ranges = ", ".join(f"{extent.start}+{extent.length}" for extent in region)
            raise FormatError(f"{name}: expected an entry of its own for the slice [{ranges[:200]}], found none")
        pieces.append(piece)
    return pieces


def _whole(name: str, entry: BundleEntry) -> Part:
    expected = checked_nbytes(entry.shape, NUMERIC[entry.dtype], where=name)
    if entry.size != expected:
        raise FormatError(
            f"{name}: expected {expected} bytes for {NUMERIC[entry.dtype]} {entry.shape}, found a size of {entry.size}"
        )
    return Part(start=(0,) * len(entry.shape), entry=entry)


def _partition(name: str, entry: BundleEntry, pieces: Sequence[BundleEntry]) -> tuple[Part, ...]:
    """The slices of a tensor, which must cover it exactly."""
    checked_nbytes(entry.shape, NUMERIC[entry.dtype], where=name)
    parts: list[Part] = []
    for index, (piece, region) in enumerate(zip(pieces, entry.slices, strict=True)):
        start, shape = _box(name, entry.shape, region)
        if piece.dtype != entry.dtype or piece.shape != shape or piece.slices:
            raise FormatError(
                f"{name}: expected type {entry.dtype} {shape} in slice {index}, found type {piece.dtype} {piece.shape}"
            )
        parts.append(Part(start=start, entry=_whole(f"{name}, slice {index}", piece).entry))
    covered = sum(prod(part.entry.shape) for part in parts)
    if covered != prod(entry.shape) or _overlap(parts):
        raise FormatError(f"{name}: expected slices that cover {entry.shape} once, found {covered} elements in them")
    return tuple(sorted(parts, key=lambda part: (part.entry.shard, part.entry.offset)))


def _box(name: str, shape: tuple[int, ...], region: TensorSlice) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First index and size of a slice on each axis."""
    start = tuple(extent.start for extent in region)
    size = tuple(
        length if extent.length is None else extent.length for extent, length in zip(region, shape, strict=False)
    )
    if len(region) != len(shape) or any(a + n > length for a, n, length in zip(start, size, shape, strict=True)):
        raise FormatError(f"{name}: expected a slice inside of {shape}, found one from {start} of size {size}")
    return start, size


def _overlap(parts: Sequence[Part]) -> bool:
    """Whether two parts that are not empty have an element in common."""
    boxes = [(part.start, part.entry.shape) for part in parts if prod(part.entry.shape)]
    starts = np.array([start for start, _ in boxes], dtype=np.int64)
    ends = starts + np.array([shape for _, shape in boxes], dtype=np.int64)
    for index in range(1, len(boxes)):
        meets = (starts[:index] < ends[index]) & (ends[:index] > starts[index])
        if bool(meets.all(axis=1).any()):
            return True
    return False
