"""Which format a checkpoint has, told by its own bytes; a name decides only between the files of TensorFlow."""

from __future__ import annotations

import re
from pathlib import Path

from converters.errors import FormatError, UnreadableFile, UnsupportedFile
from converters.formats import _signatures, _zip_records
from converters.formats._input import InputFile
from converters.formats._shard_index import INDEX_SUFFIXES

_HEAD = 512
_TABLE_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_DATA_FILE = r"\.data-\d{5}-of-\d{5}$"
_SHARD = r"-\d{5}-of-(?!00001)\d{5}(\.safetensors|\.bin)$"
GRAPH_FILES = ("saved_model.pb", "saved_model.pbtxt")
"""What is beside the variables of a SavedModel."""
_KERAS_SHARD = r"_\d{5}\.weights\.h5$"
_KERAS_INDEX = ".weights.json"
"""What Keras puts beside the shards of a checkpoint. Source: keras/src/saving/saving_lib.py, ShardedH5IOStore, 3.15."""
_TAR = (b"ustar\0", b"ustar ")

_FOREIGN = (
    (b"version https://git-lfs", "a pointer of git-lfs, not the file itself. Run `git lfs pull` where it came from"),
    (_signatures.NPY, "a single NumPy array; expected a checkpoint. Save named arrays with numpy.savez"),
    (b"BZh", "compressed by bzip2. Unpack it first"),
    (b"\xfd7zXZ\0", "compressed by xz. Unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive. Unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd. Unpack it first"),
)
_UNSPLIT = (
    "Expected one file: load the weights into the model, and save them without max_shard_size "
    "(model.save_weights('model.weights.h5'))."
)
_WEB_PAGE = rb"\s*<(!doctype html|html|\?xml|head|body)"


def detect_format(path: Path) -> str:
    """The name of the format, a key of `converters.formats.FORMATS`.

    Raises `UnreadableFile` when there is nothing, `UnsupportedFile` for a known format that is not read, `FormatError`
    for an empty or unknown file.
    """
    if path.is_dir():
        return _detect_folder(path)
    if not path.exists():
        if index_of(path).is_file():
            return "tensor-bundle"
        raise UnreadableFile(
            f"{path} does not exist, nor does {index_of(path).name} beside it (a TensorFlow checkpoint)."
        )
    file = InputFile(path)
    try:
        return _detect_file(file)
    finally:
        file.close()


def index_of(prefix: Path) -> Path:
    """The index file of a tensor bundle that is named by its prefix."""
    return prefix.with_name(prefix.name + ".index")


def _detect_folder(path: Path) -> str:
    if any((path / name).exists() for name in GRAPH_FILES):
        return "saved-model"
    from converters.formats._hub_files import TORCH_WEIGHTS, is_hub_folder  # noqa: PLC0415 - for folders only

    names = sorted(entry.name for entry in path.iterdir())
    if "checkpoint" in names or any(name.endswith(".index") for name in names):
        return "tensor-bundle"
    if is_hub_folder(names):
        return "hf-folder"
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    raise FormatError(
        f"{path} is a folder without a TensorFlow checkpoint (no .index file), safetensors, {TORCH_WEIGHTS} or a "
        f"SavedModel (no saved_model.pb); it holds: {shown or '-'}. Name the checkpoint file itself."
    )


def _detect_file(file: InputFile) -> str:
    if file.path.name in GRAPH_FILES:
        return "saved-model"
    if file.size == 0:
        raise FormatError(f"{file.path} is empty. Fetch or copy it again.")
    head = file.bytes_at(0, min(_HEAD, file.size))
    for signatures, detect in _CONTAINERS:
        if head.startswith(signatures):
            return detect(file)
    if _is_safetensors(head):
        _check_whole(file.path)
        return "safetensors"
    if file.path.name.endswith(INDEX_SUFFIXES) and head.lstrip().startswith(b"{"):
        return "hf-folder"
    if file.path.name.endswith(_KERAS_INDEX) and head.lstrip().startswith(b"{"):
        raise UnsupportedFile(f"{file.path} is the index of weights that Keras split over several files. {_UNSPLIT}")
    if _signatures.is_old_torch(head):
        _check_whole(file.path)
        return "pth"
    if _is_bundle(file, head):
        return "tensor-bundle"
    for magic, what in _FOREIGN:
        if head.startswith(magic):
            raise UnsupportedFile(f"{file.path} is {what}.")
    if re.match(_WEB_PAGE, head, re.IGNORECASE):
        raise FormatError(f"{file.path} is a web page, not a checkpoint: the download went wrong. Fetch it again.")
    raise FormatError(
        f"{file.path} has an unknown format: it starts with {head[:16]!r}. Expected a TensorFlow checkpoint (prefix, "
        ".index, folder, .tar.gz), a SavedModel, a PyTorch file, safetensors, npz or a file of Keras (.keras, .h5, "
        ".weights.h5)."
    )


def _is_safetensors(head: bytes) -> bool:
    # The header's length has 8 bytes and is at most 100 MB, so the upper four are zero.
    return len(head) > 8 and head[4:9] == b"\0\0\0\0{"


def _check_keras_whole(path: Path) -> None:
    """Raise `UnsupportedFile` for one of several files over which Keras split weights."""
    index = re.sub(_KERAS_SHARD, _KERAS_INDEX, path.name)
    if index != path.name and path.with_name(index).is_file():
        raise UnsupportedFile(
            f"{path} is one of several files over which Keras split weights ({index} is beside it). {_UNSPLIT} "
            "--format keras-weights reads this file alone."
        )


def _check_whole(path: Path) -> None:
    """Raise `UnsupportedFile` for one of several files that hold a checkpoint together."""
    match = re.search(_SHARD, path.name)
    if match is not None and any(path.parent.glob(f"*{match[1]}.index.json")):
        name = "pth" if match[1] == ".bin" else "safetensors"
        raise UnsupportedFile(
            f"{path} is one of several files of a checkpoint. Name their folder or the index "
            f"(*{match[1]}.index.json), or pass --format {name} to read this one alone."
        )


def _is_bundle(file: InputFile, head: bytes) -> bool:
    if head.startswith((_signatures.GZIP, b"model_checkpoint_path:")) or head[257:263] in _TAR:
        return True
    if file.size >= 8 and file.bytes_at(file.size - 8, 8) == _TABLE_MAGIC:
        return True
    return re.search(_DATA_FILE, file.path.name) is not None or file.path.name.endswith(".index")


def _detect_hdf5(file: InputFile) -> str:
    from converters.formats.keras_h5 import lists_layers  # noqa: PLC0415 - for files of this kind only

    if lists_layers(file):
        return "keras-h5"
    _check_keras_whole(file.path)
    return "keras-weights"


def _detect_zip(file: InputFile) -> str:
    from converters.formats._zip_directory import names_in  # noqa: PLC0415 - for files of this kind only

    # The reader of the format checks the entries themselves.
    names: list[str] = []
    for name in names_in(file):
        if name == "data.pkl" or name.endswith("/data.pkl"):
            _check_whole(file.path)
            return "pth"
        names.append(name)
    if {"config.json", "model.weights.h5"} <= set(names):
        return "keras"
    if any(name.rsplit("/", 1)[-1] in GRAPH_FILES for name in names):
        return "saved-model"
    if any(name.endswith(".npy") for name in names):
        return "npz"
    if any(name.endswith(".index") for name in names):
        return "tensor-bundle"
    shown = ", ".join(list(dict.fromkeys(names))[:8])
    raise UnsupportedFile(
        f"{file.path} is a zip archive, but of no checkpoint that is read here; it holds: {shown or '-'}."
    )


_CONTAINERS = (
    ((_zip_records.LOCAL_SIGNATURE, _zip_records.END_SIGNATURE), _detect_zip),
    ((_signatures.HDF5,), _detect_hdf5),
)
"""How files begin that hold entries of many kinds, and what looks into them."""
