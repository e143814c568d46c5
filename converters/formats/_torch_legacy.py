"""PyTorch files older than 1.6 (2020): bare pickles and tar archives, read by PyTorch's weights-only loader."""

from __future__ import annotations

import warnings
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from converters.errors import UnsupportedFile
from converters.formats._arrays import little_endian
from converters.formats._state_dict import StateDict, find_state_dict
from converters.formats.base import Array
from converters.formats.dtypes import BFLOAT16, dtype_of

_ADVICE = (
    "In PyTorch, load the file, which you should do only if you trust it, and save `model.state_dict()` again with "
    "torch.save."
)
_OF_TORCH_ITSELF = (
    r"Detected pickle protocol \d+ in the checkpoint",  # in which the file was written
    r"TypedStorage is deprecated",  # of a quantised tensor, by the loader's own code
    r"torch\.quantize_per_tensor, .* are deprecated",  # the same; such tensors are refused afterwards
)
"""How the messages begin, as regular expressions."""


def load_legacy(path: Path) -> StateDict[Any]:
    """The tensors of torch. Raises `UnsupportedFile` when torch is not installed or refuses the file."""
    if find_spec("torch") is None:
        raise UnsupportedFile(
            f"{path} is a PyTorch file of the format used before version 1.6, which only PyTorch reads. "
            "Install it (`pip install -c constraints.txt -e '.[torch]'` in the checkout), or save the state dict again "
            "with torch.save where it is installed."
        )
    import torch  # noqa: PLC0415 - slow to import, and needed for old files only

    try:
        with warnings.catch_warnings():
            # Of what torch warns here the user can change nothing.
            for beginning in _OF_TORCH_ITSELF:
                warnings.filterwarnings("ignore", message=beginning, category=UserWarning)
            # Training programs save their options beside the weights; a Namespace only holds what is put into it.
            with torch.serialization.safe_globals([Namespace]):
                root = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever a damaged pickle leads to
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnsupportedFile(f"{path}: PyTorch's weights-only loader refuses the file: {reason} {_ADVICE}") from error
    return find_state_dict(root, torch.Tensor, path=path)


def as_array(tensor: Any, *, where: str) -> Array:
    """The tensor as an array over the same memory where it is contiguous. Raises `UnsupportedFile` if NumPy cannot."""
    import torch  # noqa: PLC0415 - as above

    try:
        plain = tensor.detach().resolve_conj().resolve_neg().contiguous()
        array: Array = (
            plain.view(torch.int16).numpy().view(dtype_of(BFLOAT16)) if plain.dtype == torch.bfloat16 else plain.numpy()
        )
    except (RuntimeError, TypeError) as error:
        raise UnsupportedFile(f"{where}: a tensor that is no plain array: {error}. {_ADVICE}") from error
    return array.view(little_endian(array.dtype))
