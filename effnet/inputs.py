"""What a user wants to run through a network: images, or one .npy of normalised input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from converters.errors import counted
from effnet.errors import InputError
from effnet.files import check_regular, reason_of
from effnet.images import load_image
from effnet_core import NetworkSpec


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Where the batch comes from: either one array or some images."""

    array: Path | None
    images: tuple[Path, ...]


def classify(paths: str | Path | Sequence[str | Path]) -> Inputs:
    """Sort paths, or take a single one, as one .npy or images. Raises `InputError` for none, or for both kinds."""
    found = (Path(paths),) if isinstance(paths, str | Path) else tuple(Path(path) for path in paths)
    arrays = [path for path in found if path.suffix.lower() == ".npy"]
    if not found:
        raise InputError("There is no input. Name images, or one .npy of normalised NHWC input.")
    if arrays and len(found) > 1:
        raise InputError(f"{arrays[0]} is an array: name one .npy alone, or images only.")
    return Inputs(array=arrays[0] if arrays else None, images=() if arrays else found)


def check_there(inputs: Inputs) -> None:
    """Raise `InputError` for the first file that is not there: before what takes its time."""
    for path in (inputs.array, *inputs.images):
        try:
            if path is not None:
                check_regular(path)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {reason_of(error)}.") from None


def batches(inputs: Inputs, spec: NetworkSpec, *, size: int) -> Iterator[tuple[list[str], NDArray[Any]]]:
    """Names and normalised input (N, height, width, channels), at most `size` at a time; an array keeps its type.

    Raises `InputError` for what cannot be given to the network.
    """
    if inputs.array is not None:
        array = load_array(inputs.array, spec)
        for start in range(0, len(array), size):
            part = array[start : start + size]
            yield [f"{inputs.array}[{start + index}]" for index in range(len(part))], part
        return
    if spec.stem.in_channels != 3:
        channels = counted(spec.stem.in_channels, "channel")
        raise InputError(f"The network takes {channels}, and images have 3. Give it one .npy of its own input.")
    for start in range(0, len(inputs.images), size):
        part = inputs.images[start : start + size]
        yield [str(path) for path in part], np.stack([load_image(path, spec.preprocessing) for path in part])


def load_array(path: Path, spec: NetworkSpec) -> NDArray[Any]:
    """Normalised input (N, height, width, channels), float32 or float64.

    Raises `InputError` when the file is no .npy of that kind, or holds NaN or Inf.
    """
    channels = spec.stem.in_channels
    try:
        check_regular(path)
        # Mapped, so that a header that promises more than the file holds allocates nothing.
        array: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, TypeError, OverflowError) as error:
        raise InputError(f"{path} cannot be read as a .npy array: {reason_of(error)}.") from None
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path} holds several arrays; expected a .npy with one.")
    return check_array(cast("NDArray[Any]", array), channels=channels, where=str(path))


def check_array(array: NDArray[Any], *, channels: int, where: str) -> NDArray[Any]:
    """The array in memory, if it is input (N, height, width, channels). Raises `InputError` otherwise."""
    if array.ndim != 4 or array.shape[-1] != channels or 0 in array.shape:
        first = array.ndim == 4 and array.shape[1] == channels
        hint = " It looks like NCHW, PyTorch's layout; transpose it with axes (0, 2, 3, 1)." if first else ""
        raise InputError(
            f"{where} has the shape {array.shape}; expected NHWC, (images, height, width, {channels}), none of them 0."
            + hint
        )
    if array.dtype.name not in ("float16", "float32", "float64"):
        raise InputError(
            f"{where} is of type {array.dtype}; expected float32 or float64: the input after normalisation."
        )
    values = np.ascontiguousarray(array, dtype=np.float64 if array.dtype == np.float64 else np.float32)
    bad = int(values.size - np.count_nonzero(np.isfinite(values)))
    if bad:
        raise InputError(f"{where} holds {bad} values that are NaN or Inf; expected finite numbers.")
    return values


def random_input(*, images: int, size: int, channels: int, seed: int) -> NDArray[np.float32]:
    """Seeded N(0, 1) input (images, size, size, channels). Raises `InputError` for numbers below 1."""
    if images < 1 or size < 1:
        raise InputError(f"{images} images of {size} x {size} pixels are asked for; expected at least 1 of each.")
    return np.random.default_rng(seed).standard_normal((images, size, size, channels), dtype=np.float32)
