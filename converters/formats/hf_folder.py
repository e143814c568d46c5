"""A folder as on the Hugging Face hub: `model.safetensors`, or shards and their index, and `config.json` beside.

Folders of PyTorch's files (`pytorch_model.bin`, or shards and their index) are read only.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from converters.errors import FormatError, OutputError, UnreadableFile, counted, some_of
from converters.formats._hub_files import WEIGHTS, find_weights
from converters.formats._input import InputFile
from converters.formats._shard_index import INDEX_SUFFIXES, parse_index
from converters.formats.base import Array, Location, Reader, Scratch, TensorInfo, Writer
from converters.formats.companions import COMPANIONS, read_companions
from converters.formats.plain_bytes import PlainBytes
from converters.formats.safetensors import SafetensorsReader, SafetensorsWriter
from converters.formats.staging import StagedFile, disk_errors

_OWN = frozenset({WEIGHTS, *COMPANIONS})


class HfFolderReader(Reader):
    """An open folder: named itself, by its index, or by its one file. Every shard is checked against the index.

    The text of `config.json` and `preprocessor_config.json` is in `metadata` under these names.
    """

    format = "hf-folder"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._shards: list[Reader] = []
        self._scratch = Scratch()
        weights, chosen = find_weights(path) if path.is_dir() else (path, ())
        companions, left_out = read_companions(weights.parent)
        self.notes = (*chosen, *left_out)
        self.tensors = self._tensors = dict[str, TensorInfo]()
        self._home: dict[str, Reader] = {}
        self.skipped = self._skipped = dict[str, str]()
        try:
            if weights.name.endswith(INDEX_SUFFIXES):
                self._open_shards(weights)
            else:
                self._add(self._open(weights))
            self.metadata = self._merged_metadata() | companions
        except BaseException:
            self.close()
            raise

    def _open(self, path: Path) -> Reader:
        if path.suffix == ".bin":
            from converters.formats.pth import PthReader  # noqa: PLC0415 - half of this module's import, seldom needed

            self._shards.append(PthReader(path))
        else:
            self._shards.append(SafetensorsReader(path, scratch=self._scratch))
        return self._shards[-1]

    def _add(self, shard: Reader) -> None:
        self._tensors |= shard.tensors
        self._skipped |= shard.skipped
        self._home |= dict.fromkeys(shard.tensors, shard)

    def _open_shards(self, index: Path) -> None:
        file = InputFile(index)
        try:
            listed = parse_index(file)
        finally:
            file.close()
        missing = [name for name in listed if not (index.parent / name).exists()]
        if missing:
            raise UnreadableFile(
                f"{index} names {counted(len(listed), 'file')}; missing: {some_of(missing)}. Fetch what is missing "
                "into the same folder."
            )
        for name, tensors in listed.items():
            shard = self._open(index.parent / name)
            _check_shard(index, name, listed=tensors, found=shard.tensors)
            self._add(shard)

    def _merged_metadata(self) -> dict[str, str]:
        merged: dict[str, str] = {}
        for shard in self._shards:
            for key, value in shard.metadata.items():
                if merged.setdefault(key, value) != value:
                    raise FormatError(
                        f"{shard.path}: its {key[:80]!r} is another one than that of {self._shards[0].path.name}: "
                        "these files do not belong together. Fetch all of them again."
                    )
        return merged

    def read(self, name: str) -> Array:
        """The array; it is valid until the next `read` or `close`."""
        return self._home[name].read(name)

    def plain(self, name: str) -> PlainBytes | None:
        """The bytes of the array."""
        return self._home[name].plain(name)

    def location(self, name: str) -> Location | None:
        """Where the plain bytes of the array are."""
        return self._home[name].location(name)

    def close(self) -> None:
        """Close every file."""
        for shard in self._shards:
            shard.close()


def _check_shard(index: Path, shard: str, *, listed: Sequence[str], found: Mapping[str, TensorInfo]) -> None:
    absent = [name for name in listed if name not in found]
    known = set(listed)
    unlisted = [name for name in found if name not in known]
    if absent or unlisted:
        raise FormatError(
            f"{index.parent / shard} is not the file that {index.name} describes: it lacks {some_of(absent)}, and "
            f"holds besides: {some_of(unlisted)}. Fetch all files again."
        )


class HfFolderWriter(Writer):
    """A folder being written: `model.safetensors`, and of `metadata` what is named as a companion in a file of its own.

    The folder has a hidden name beside the final one until `commit`. One that exists is replaced as a whole, and only
    if it holds nothing else than these files.
    """

    format: ClassVar[str] = "hf-folder"

    def __init__(
        self, path: Path, tensors: Sequence[TensorInfo], metadata: Mapping[str, str], *, overwrite: bool, sync: bool
    ) -> None:
        self._overwrite, self._sync = overwrite, sync
        self._texts = {name: metadata[name] for name in COMPANIONS if name in metadata}
        # Without this entry transformers refuses the file.
        header = {"format": "pt"} | {key: value for key, value in metadata.items() if key not in self._texts}
        with disk_errors(path):
            self._target = Path(os.path.realpath(path)) if path.is_symlink() else path
            check_folder(self._target, overwrite=overwrite)
            self._staged = _beside(self._target)
            self._staged.mkdir()
        try:
            self._weights = SafetensorsWriter(self._staged / WEIGHTS, tensors, header, overwrite=False, sync=sync)
        except BaseException:
            shutil.rmtree(self._staged, ignore_errors=True)
            raise

    def write(self, array: Array) -> Location:
        """Write the next array at its place and read its bytes back."""
        return self._weights.write(array)

    def reserve(self) -> Location:
        """The place of the next array."""
        return self._weights.reserve()

    def write_at(self, place: Location, start: int, data: Array) -> None:
        """Write a part of a reserved array and read it back."""
        self._weights.write_at(place, start, data)

    def finish(self) -> SafetensorsReader:
        """Open the weights, still without their final name."""
        return self._weights.finish()

    def commit(self) -> tuple[Path, ...]:
        """Write the companions and give the folder its final name."""
        self._weights.commit()
        for name, text in self._texts.items():
            with StagedFile(self._staged / name, overwrite=False, sync=self._sync) as file:
                file.write(text.encode())
                file.commit()
        with disk_errors(self._target):
            check_folder(self._target, overwrite=self._overwrite)
            if self._target.exists():
                self._replace()
            else:
                self._staged.rename(self._target)
        return (self._target / WEIGHTS, *(self._target / name for name in self._texts))

    def _replace(self) -> None:
        before = _beside(self._target)
        self._target.rename(before)
        try:
            self._staged.rename(self._target)
        except BaseException:
            before.rename(self._target)
            raise
        shutil.rmtree(before, ignore_errors=True)

    def close(self) -> None:
        """Discard what was not committed."""
        self._weights.close()
        shutil.rmtree(self._staged, ignore_errors=True)


def check_folder(target: Path, *, overwrite: bool) -> None:
    """Raise `OutputError` unless a folder can be put at `target` without losing anything."""
    if not target.parent.is_dir():
        raise OutputError(f"The folder {target.parent} does not exist. Create it first, or name another output.")
    if not target.exists():
        return
    if not target.is_dir():
        raise OutputError(f"{target} is a file; expected the name of a folder to write.")
    names = [entry.name for entry in target.iterdir()]
    if names and not overwrite:
        raise OutputError(f"{target} exists. Pass --force (overwrite=True) to replace it, or name another output.")
    others = [name for name in names if name not in _OWN]
    if others:
        raise OutputError(
            f"{target} holds other files than a checkpoint, which would be lost: {some_of(others)}. Name another "
            "output."
        )


def _beside(target: Path) -> Path:
    """A hidden name that is not taken, in the same folder."""
    return target.with_name(f".{target.name}.{os.urandom(6).hex()}.partial")
