"""Which file of a folder as on the Hugging Face hub holds the weights.

Source: transformers/src/transformers/modeling_utils.py, version 5.
"""

from __future__ import annotations

import re
from pathlib import Path

from converters.errors import FormatError, UnreadableFile, some_of
from converters.formats._shard_index import INDEX_SUFFIXES

WEIGHTS = "model.safetensors"
TORCH_WEIGHTS = "pytorch_model.bin"
"""The usual names, and what `config.json` lies beside."""
_TORCH_FILE = re.compile(r"pytorch_model(?!-[0-9]).*\.bin")
"""Not other files of PyTorch, such as training_args.bin, nor shards without their index."""


def is_hub_folder(names: list[str]) -> bool:
    """Whether a folder with files of these names holds weights in the manner of the hub."""
    return any(name.endswith((".safetensors", *INDEX_SUFFIXES)) or _TORCH_FILE.fullmatch(name) for name in names)


def find_weights(folder: Path) -> tuple[Path, tuple[str, ...]]:
    """The file or the index that holds a folder's weights, and what was decided, a sentence each.

    The order of the package transformers: `model.safetensors`, an index of safetensors, then the same of PyTorch's
    files (`pytorch_model.bin`), and before these the only other safetensors file. Raises `FormatError` when there is
    none or it is not clear which.
    """
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise UnreadableFile(f"{folder} cannot be read: {error.strerror}.") from error
    safetensors = [name for name in names if name.endswith(".safetensors")]
    torch = [name for name in names if _TORCH_FILE.fullmatch(name)]
    indices, torch_indices = ([name for name in names if name.endswith(suffix)] for suffix in INDEX_SUFFIXES)
    groups = (
        [name for name in safetensors if name == WEIGHTS],
        indices,
        safetensors,
        [name for name in torch if name == TORCH_WEIGHTS],
        torch_indices,
        torch,
    )
    for found in groups:
        if len(found) == 1:
            return folder / found[0], _passed_over(found[0], [*indices, *torch, *torch_indices])
        if found:
            raise FormatError(f"{folder} holds several checkpoints: {some_of(found)}. Name one of them.")
    raise FormatError(
        f"{folder} holds no weights as on the Hugging Face hub (safetensors, {TORCH_WEIGHTS} or the index of such "
        f"files); it holds: {some_of(names)}."
    )


def _passed_over(taken: str, others: list[str]) -> tuple[str, ...]:
    left = [name for name in others if name != taken]
    return (f"Took {taken}, not {some_of(left)} in the same folder.",) if left else ()
