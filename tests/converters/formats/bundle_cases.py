"""Damaged and hostile entries: truncated, flipped, too large, one over another, contradicting each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from converters.formats._bundle.messages import BundleHeader, Extent, write_entry
from converters.formats._bundle.table_writer import write_table
from converters.formats._bundle.wire import bytes_field, number_field
from tests.converters.formats.bundle_tables import Bundle, assemble, bundle, plain_block, slice_key

Build = Callable[[Path], Path]
"""Writes the files of a case into a folder that is not there yet; gives the path to read."""


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    build: Build
    must_fail: bool = True
    """Whether there is no way to read it right."""


def changed(name: str, made: Bundle) -> Case:
    return Case(name=name, build=made.write)


def with_index(name: str, index: bytes, *, must_fail: bool = True) -> Case:
    return Case(name=name, build=lambda folder: bundle().write(folder, index=index), must_fail=must_fail)


def entry_cases() -> Iterator[Case]:
    yield from _truncations()
    yield from _repaired_flips()
    yield from _entries()
    yield from _headers()
    yield from _slices()


def _truncations() -> Iterator[Case]:
    made = bundle()
    index, data = made.index(), made.data
    for length in np.linspace(0, len(index) - 1, 60, dtype=int):
        yield with_index(f"index cut to {length}", index[:length])
    for length in np.linspace(0, len(data) - 1, 30, dtype=int):
        yield changed(f"data cut to {length}", replace(made, data=data[:length]))
    for count in (1, 48, 5000):
        yield with_index(f"index with {count} zeros behind", index + bytes(count))
        yield with_index(f"index with {count} zeros before", bytes(count) + index)
    yield with_index("index twice", index + index, must_fail=False)
    yield with_index("data as index", data)


def _repaired_flips() -> Iterator[Case]:
    """A bit of the entries is another, and the checksum of the block says that this is right."""
    items = bundle().items()
    block = plain_block(items)
    for bit in np.random.default_rng(11).choice(len(block) * 8, 160, replace=False):
        flipped = bytearray(block)
        flipped[bit // 8] ^= 1 << (bit % 8)
        yield with_index(f"bit {bit} of the block", assemble([(b"\xff", bytes(flipped))]), must_fail=False)


def _entries() -> Iterator[Case]:
    made = bundle()
    kernel, end = b"block/kernel", len(made.data)
    entry = made.entries[kernel]
    for size in (0, 1, entry.size - 4, entry.size + 4, 1 << 31, 1 << 40, (1 << 63) - 1):
        yield changed(f"size {size}", made.change(kernel, size=size))
    for offset in (4, end - 4, end, 1 << 31, 1 << 62, (1 << 63) - 1):
        yield changed(f"offset {offset}", made.change(kernel, offset=offset))
    shapes = [(72,), (3, 3, 4, 3), (1 << 62,), (1 << 32, 1 << 32), (0, 1 << 62, 1 << 62), (-1,), (1,) * 65, ()]
    for shape in shapes:
        if shape != (72,):
            yield changed(f"shape {shape}", made.change(kernel, shape=shape))
    for size in (1 << 40, 1 << 62):
        huge = made.change(kernel, shape=(size // 4,), size=size)
        yield changed(f"shape and size {size}", huge)
    for dtype in (2, 14):
        yield changed(f"type {dtype}", made.change(kernel, dtype=dtype))
    for shard in (1, -1, 1 << 31):
        yield changed(f"shard {shard}", made.change(kernel, shard=shard))
    yield changed("checksum", made.change(kernel, masked_crc32c=1))
    yield changed("truth value 2", _with_raw(b"truth", b"\2\0", 10, (2,)))
    yield changed("name not UTF-8", _with_raw(b"\xff\xfe", b"\0", 4, (1,)))
    for name in (b"half", b"flags"):
        other = made.entries[name]
        yield changed(f"over {name.decode()}", made.change(kernel, offset=other.offset))
    good = write_entry(entry)
    odd = {
        "field 0": b"\x02\x01",
        "group": b"\x0b\x0c",
        "wire type 7": b"\x0f\x01",
        "varint that overflows": b"\x08" + b"\xff" * 10,
        "varint without end": b"\x20" + b"\xff" * 4,
        "dtype as text": b"\x0a\x01\x01",
        "checksum as varint": b"\x30\x01",
        "shape twice": bytes_field(2, b""),
        "shape of unknown rank": b"\x12\x02\x18\x01",
        "offset twice": number_field(4, 7) * 2,
        "length beyond the end": b"\x12\x7f",
        "fixed32 cut": b"\x35\x01",
        "a million fields": b"\x78\x01" * 500_000,
    }
    for name, tail in odd.items():
        yield _with_value(f"entry: {name}", good + tail)
    yield _with_value("entry: empty", b"")
    yield _with_value("entry: 65 axes", number_field(1, 1) + bytes_field(2, b"\x12\x00" * 65))


def _with_raw(key: bytes, content: bytes, dtype: int, shape: tuple[int, ...]) -> Bundle:
    made = bundle()
    made.add_raw(key, content, dtype, shape)
    return made


def _with_value(name: str, value: bytes) -> Case:
    return with_index(name, write_table([(k, value if k == b"block/kernel" else v) for k, v in bundle().items()]))


def _headers() -> Iterator[Case]:
    made = bundle()
    for shards in (0, -1, 2, 1 << 31, (1 << 63) - 1):
        yield changed(f"{shards} data files", replace(made, header=BundleHeader(shards=shards)))
    yield changed("newer version", replace(made, header=BundleHeader(shards=1, min_consumer=2)))
    for value in (b"\x08\x01\x10\x07", b"\x0a\x01\x01", b"\xff", b""):
        yield with_index(f"header {value!r}", write_table([(b"", value), *made.items()[1:]]))


def _slices() -> Iterator[Case]:
    made = bundle()
    key, upper, lower = b"split", *bundle().entries[b"split"].slices
    whole = made.entries[key].shape
    boxes: dict[str, tuple[tuple[Extent, ...], ...]] = {
        "only one": (upper,),
        "one twice": (upper, upper),
        "overlap": (upper, (Extent(start=2, length=2), Extent())),
        "outside": (upper, (Extent(start=4, length=2), Extent())),
        "far outside": (upper, (Extent(start=(1 << 63) - 1, length=2), Extent())),
        "of another rank": (upper, (Extent(start=3, length=2),)),
        "of no axes": ((), ()),
        "2000 of them": (upper,) * 2000,
        "200,000 of them": ((),) * 200_000,
    }
    for name, regions in boxes.items():
        sliced = made.change(key, slices=regions)
        for region in dict.fromkeys(regions):
            known = made.entries[slice_key(key, upper)]
            sliced.entries.setdefault(slice_key(key, region), known)
        yield Case(name=f"slices: {name}", build=sliced.write)
    yield changed("slices: alone", made.without(key))
    yield changed("slices: missing", made.without(slice_key(key, lower)))
    piece = slice_key(key, lower)
    for name, piecewise in {
        "of another type": made.change(piece, dtype=3),
        "of another shape": made.change(piece, shape=(4, 2)),
        "with slices": made.change(piece, slices=(upper,)),
        "of another size": made.change(piece, size=28),
        "of a larger tensor": made.change(key, shape=(1 << 40, whole[1])),
        "of an overflowing tensor": made.change(key, shape=(1 << 40, 1 << 40)),
    }.items():
        yield changed(f"slices: {name}", piecewise)
