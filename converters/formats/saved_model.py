"""The variables of a TensorFlow SavedModel, read without TensorFlow.

A SavedModel is a folder: `saved_model.pb` has functions and signatures, `variables/` a tensor bundle with the values.
Only the latter is read. Source: tensorflow/python/saved_model/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from converters.errors import UnsupportedFile
from converters.formats._bundle.files import INDEX_SUFFIX, BundleFiles, PlainFiles, sibling
from converters.formats._bundle.folder import is_file
from converters.formats._bundle.reader import TensorBundleReader
from converters.formats._bundle.sidecar import SUFFIX, write_sidecar

FORMAT = "saved-model"
_VARIABLES = Path("variables") / "variables"


class SavedModelReader(TensorBundleReader):
    """An open SavedModel: its folder, its `saved_model.pb`, or a `.zip`, `.tar.gz`, `.tgz` or `.tar` of it.

    Names, checks and memory are those of a tensor bundle. Raises `UnsupportedFile` when it has no variables.
    """

    format = FORMAT

    def __init__(self, path: Path, *, scratch_folder: Path | None = None) -> None:
        super().__init__(path, scratch_folder=scratch_folder, files=_files(path))
        self.notes = (
            *self.notes,
            "Only the variables of the SavedModel are read, not its functions: whether these prepare images, or have "
            "other activations or outputs than the network named here, is not known.",
        )


def add_metadata(folder: Path, metadata: Mapping[str, str]) -> None:
    """Put texts beside the variables of a SavedModel, which TensorFlow ignores and `SavedModelReader` gives back."""
    prefix = folder / _VARIABLES
    index = sibling(prefix, INDEX_SUFFIX).read_bytes()
    sibling(prefix, SUFFIX).write_bytes(write_sidecar(metadata, index=index))


def _files(path: Path) -> BundleFiles | None:
    """The files of a SavedModel that is a folder; None for an archive, which the bundle reader opens."""
    folder = path.parent if path.suffix in (".pb", ".pbtxt") else path
    if not folder.is_dir():
        return None
    prefix = folder / _VARIABLES
    if is_file(sibling(prefix, INDEX_SUFFIX)):
        return PlainFiles(prefix)
    raise UnsupportedFile(
        f"{path}: expected the variables of the SavedModel in {sibling(prefix, INDEX_SUFFIX)}, found none. Copy the "
        "folder variables too; if it never had one, the weights are constants in its graph, which are not read: export "
        "it again from its program."
    )
