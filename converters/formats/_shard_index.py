"""The index of a checkpoint that is split over several files (`model.safetensors.index.json`).

Source: https://huggingface.co/docs/huggingface_hub/package_reference/serialization
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from converters.errors import FormatError, UnsupportedFile
from converters.formats._input import InputFile

_INDEX = ".index.json"
INDEX_SUFFIXES = (f".safetensors{_INDEX}", f".bin{_INDEX}")
_LARGEST = 4 << 20
"""Bytes. The networks of this project need 0.2 MB; Python objects take thirty times as much as their JSON."""
_MOST_SHARDS = 256
"""Each is an open file."""
_LONGEST_NAME = 256
"""Bytes; longer names no file system knows."""


def parse_index(file: InputFile) -> Mapping[str, tuple[str, ...]]:
    """The names of the shards, sorted, each with the tensors that it holds.

    Raises `FormatError` for a damaged or hostile index, `UnsupportedFile` for one that is too large.
    """
    where = str(file.path)
    suffix = "." + where.removesuffix(_INDEX).rpartition(".")[2]
    if file.size > _LARGEST:
        raise UnsupportedFile(f"{where}: an index of {file.size} bytes; at most {_LARGEST} are read here.")
    document = _parse_json(file.bytes_at(0, file.size), where)
    weight_map = document.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise FormatError(f'{where}: expected "weight_map", an object from the names of tensors to names of files.')
    shards: dict[str, list[str]] = {}
    for name, shard in cast("dict[str, object]", weight_map).items():
        if not isinstance(shard, str) or not _is_plain(shard, suffix):
            raise FormatError(
                f"{where}: {name[:80]!r} lies in {str(shard)[:80]!r}; expected the name of a {suffix} file in the same "
                "folder."
            )
        shards.setdefault(shard, []).append(name)
    if len(shards) > _MOST_SHARDS:
        raise UnsupportedFile(f"{where} names {len(shards)} files; at most {_MOST_SHARDS} are read here.")
    return {shard: tuple(shards[shard]) for shard in sorted(shards)}


def _is_plain(name: str, suffix: str) -> bool:
    """Whether a name leads to a file in the same folder, and nowhere else."""
    is_name = name.isprintable() and len(name.encode(errors="replace")) < _LONGEST_NAME
    return is_name and name.endswith(suffix) and not any(letter in name for letter in '/\\:"')


def _parse_json(text: bytes, where: str) -> dict[str, Any]:
    def checked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key is there twice")
        return found

    try:
        found = json.loads(text.decode(), object_pairs_hook=checked)
    except (ValueError, RecursionError, MemoryError) as error:
        raise FormatError(f"{where} is not the JSON of an index: {error}.") from error
    if not isinstance(found, dict):
        raise FormatError(f"{where}: expected a JSON object, found {type(found).__name__}.")
    return cast("dict[str, Any]", found)
