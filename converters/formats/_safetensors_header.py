"""The header of a safetensors file, read with every check that the specification asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn, cast

from converters.errors import FormatError, UnsupportedFile
from converters.formats._arrays import checked_nbytes
from converters.formats._input import InputFile
from converters.formats.base import NO_METADATA, TensorInfo
from converters.formats.dtypes import Dtypes

METADATA = "__metadata__"
LARGEST_HEADER = 100_000_000
# The networks of this project need 0.3 MB. A hostile header grows about thirtyfold when it becomes Python objects.
_LARGEST_READ = 16 << 20
_FIELDS = frozenset({"dtype", "shape", "data_offsets"})
_CONTAINERS = frozenset({list, dict})
_END = 1 << 63
"""Of lengths and offsets."""

DTYPES = Dtypes(
    {
        "BOOL": "?",
        "U8": "u1",
        "I8": "i1",
        "U16": "<u2",
        "I16": "<i2",
        "U32": "<u4",
        "I32": "<i4",
        "U64": "<u8",
        "I64": "<i8",
        "F8_E5M2": "float8_e5m2",
        "F8_E4M3": "float8_e4m3fn",
        "F8_E8M0": "float8_e8m0fnu",
        "F16": "<f2",
        "BF16": "bfloat16",
        "F32": "<f4",
        "F64": "<f8",
        "C64": "<c8",
    }
)


class Header(NamedTuple):
    """What a safetensors file holds and where (offsets from the start of the file, in bytes)."""

    tensors: Mapping[str, TensorInfo]
    offsets: Mapping[str, int]
    metadata: Mapping[str, str]


def parse_header(file: InputFile) -> Header:
    """Read and check the header. Raises `FormatError` or `UnsupportedFile`."""
    where = str(file.path)
    if file.size < 8:
        raise FormatError(f"{where}: {file.size} bytes are too few for a safetensors file (at least 8).")
    length = int.from_bytes(file.bytes_at(0, 8), "little")
    if length > LARGEST_HEADER:
        raise FormatError(
            f"{where}: the header claims {length} bytes; safetensors allows {LARGEST_HEADER}. It is damaged or no "
            "safetensors file."
        )
    if length > _LARGEST_READ:
        raise UnsupportedFile(f"{where}: a header of {length} bytes; at most {_LARGEST_READ} are read here.")
    entries = _parse_json(file.bytes_at(8, length), where)
    metadata = _metadata(entries.pop(METADATA, None), where)
    tensors: dict[str, TensorInfo] = {}
    spans: list[tuple[int, int, str]] = []
    for name, entry in entries.items():
        tensors[name], span = _tensor(name, entry, f"{where}: {name!r}")
        spans.append((*span, name))
    _check_spans(spans, size=file.size - 8 - length, where=where)
    offsets = {name: 8 + length + start for start, _, name in spans}
    return Header(tensors=tensors, offsets=offsets, metadata=metadata)


def _parse_json(text: bytes, where: str) -> dict[str, Any]:
    texts: list[dict[str, Any]] = []

    def checked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key is there twice")
        if _CONTAINERS.isdisjoint(map(type, found.values())):
            # Millions of small objects would fill the memory before anything looked at them.
            texts.append(found)
            if len(texts) > 1:
                raise ValueError(f"only {METADATA} may be an object without lists")
        return found

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no JSON")

    try:
        if not text.startswith(b"{"):
            raise ValueError("it must start with '{'")
        return json.loads(text.decode(), object_pairs_hook=checked, parse_constant=refuse)
    except (ValueError, RecursionError, MemoryError) as error:
        raise FormatError(f"{where}: the header is not the JSON object of a safetensors file: {error}.") from error


def _metadata(found: object, where: str) -> Mapping[str, str]:
    if found is None:
        return NO_METADATA
    if not isinstance(found, dict) or not all(
        isinstance(value, str) for value in cast("dict[str, object]", found).values()
    ):
        raise FormatError(f"{where}: {METADATA} must be an object of strings.")
    return cast("dict[str, str]", found)


def _tensor(name: str, entry: object, where: str) -> tuple[TensorInfo, tuple[int, int]]:
    if not isinstance(entry, dict) or cast("dict[str, object]", entry).keys() != _FIELDS:
        raise FormatError(f"{where}: expected an object of dtype, shape and data_offsets.")
    fields = cast("dict[str, object]", entry)
    shape, span = _integers(fields["shape"], where), _integers(fields["data_offsets"], where)
    dtype_name = fields["dtype"]
    if not isinstance(dtype_name, str) or dtype_name not in DTYPES:
        raise UnsupportedFile(f"{where}: the dtype {str(dtype_name)[:40]!r} is not read; known: {', '.join(DTYPES)}.")
    dtype = DTYPES[dtype_name]
    nbytes = checked_nbytes(shape, dtype, where=where)
    if len(span) != 2 or span[1] - span[0] != nbytes:
        raise FormatError(f"{where}: {dtype_name} {shape} needs {nbytes} bytes; its data_offsets do not span that.")
    return TensorInfo(name=name, shape=shape, dtype=dtype), (span[0], span[1])


def _integers(found: object, where: str) -> tuple[int, ...]:
    if isinstance(found, list):
        values = cast("list[object]", found)
        for value in values:
            # bool is a subclass of int, and `true` is no length.
            if type(value) is not int or not 0 <= value < _END:
                break
        else:
            return tuple(cast("list[int]", values))
    raise FormatError(f"{where}: shape and data_offsets must be lists of integers from 0 to 2**63 - 1.")


def _check_spans(spans: list[tuple[int, int, str]], *, size: int, where: str) -> None:
    """The data must be covered once and only once."""
    position = 0
    for start, end, name in sorted(spans):
        if start != position:
            kind = "overlaps the array before" if start < position else "leaves a gap before it"
            raise FormatError(f"{where}: {name!r} starts at byte {start} of the data, expected {position}: it {kind}.")
        position = end
    if position != size:
        raise FormatError(
            f"{where}: the header describes {position} bytes of data, the file has {size}: it is truncated or damaged. "
            "Fetch or copy it again."
        )
