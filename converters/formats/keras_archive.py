"""Keras 3's archive of a whole model (`.keras`): a zip file of its configuration and of a `.weights.h5`.

The weights are read where they are in the archive; packed ones, which Keras does not write, are unpacked first, into a
file without a name. Nothing that the configuration names is imported or run. `effnet`, which writes such files, adds
the definition of the network as an entry that Keras ignores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from converters.errors import FormatError
from converters.formats._hdf5.window import Window
from converters.formats._keras_configured import layer_names, norm_leaves
from converters.formats._temporary import TemporaryData
from converters.formats._zip import Entry, Method, ScatteredChecksum, ZipArchive
from converters.formats.base import Array, Location
from converters.formats.keras_weights import KerasWeightsReader
from converters.formats.plain_bytes import PlainBytes
from converters.metadata_keys import KERAS_CONFIG_KEY, SPEC_KEY

SPEC_ENTRY = "effnet.json"
WEIGHTS_ENTRY = "model.weights.h5"
_TEXTS = {"config.json": KERAS_CONFIG_KEY, "metadata.json": "keras_metadata", SPEC_ENTRY: SPEC_KEY}
"""Entries that are text, and their keys in the metadata."""
_LONGEST_TEXT = 16 << 20
"""Bytes; the configuration of the largest model has two million."""


class KerasArchiveReader(KerasWeightsReader):
    """An open `.keras`.

    The archive has one CRC-32 of all weights: they are read through before `read` gives the first array, or as `plain`
    gives them, and compared by `check_plain`.
    """

    format = "keras"

    def __init__(self, path: Path) -> None:
        self._temporary: TemporaryData | None = None
        self._unverified = True
        super().__init__(path)

    def open_window(self) -> Window:
        """The weights in the archive, or unpacked elsewhere."""
        self._archive = ZipArchive(self.file)
        self._entry = self._find(WEIGHTS_ENTRY)
        if self._entry.method is Method.STORED:
            self._checksum = ScatteredChecksum(self._archive, self._entry)
            return Window(self.file, base=self._entry.offset, size=self._entry.size)
        self._temporary = TemporaryData(None)
        self._temporary.append(self._archive.chunks(self._entry))
        self._unverified = False
        return Window(self._temporary, size=self._temporary.size)

    def _find(self, name: str) -> Entry:
        entry = self._archive.entries.get(name)
        if entry is None:
            raise FormatError(f"{self.path} is no Keras archive: expected the entry {name} in it.")
        return entry

    def name_tensors(self) -> None:
        """Name every variable of a layer, and take the texts of the archive."""
        self._texts = self._read_texts()
        super().name_tensors()
        self.metadata = {**self.metadata, **self._texts}

    def configured_names(self) -> Mapping[str, str]:
        """Names of layers by path, from the configuration of the model."""
        return layer_names(self._texts.get(KERAS_CONFIG_KEY, ""))

    def configured_leaves(self) -> Mapping[str, Sequence[str]]:
        """Variables of layers by path, from the configuration of the model."""
        return norm_leaves(self._texts.get(KERAS_CONFIG_KEY, ""))

    def _read_texts(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, key in _TEXTS.items():
            entry = self._archive.entries.get(name)
            if entry is None:
                continue
            try:
                found[key] = self._archive.content(entry, limit=_LONGEST_TEXT).decode()
            except UnicodeDecodeError as error:
                raise FormatError(f"{self.path}: {name} is no text: {error}.") from error
        return found

    def read(self, name: str) -> Array:
        """The array; it is valid until the next `read` or `close`."""
        self._verify()
        return super().read(name)

    def plain(self, name: str) -> PlainBytes | None:
        """The bytes of the array; None where they are big-endian or there are none."""
        found = super().plain(name)
        if found is None or not self._unverified:
            return found
        return self._checksum.plain(self.stored[name].offset)

    def check_plain(self) -> None:
        """Compare the CRC-32 of the weights. Raises `FormatError` if it is another."""
        if self._unverified:
            self._checksum.check()
            self._unverified = False

    def _verify(self) -> None:
        if self._unverified:
            self._archive.verify(self._entry)
            self._unverified = False

    def location(self, name: str) -> Location | None:
        """Where the plain bytes of the array are; None as well where the weights are packed."""
        return None if self._temporary is not None else super().location(name)

    def close(self) -> None:
        """Close the file and remove the temporary one."""
        super().close()
        if self._temporary is not None:
            self._temporary.close()
