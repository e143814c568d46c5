"""Images that are sent as numbers: nested lists of JSON as one array.

The lists are looked at from the outside in, and the first that does not fit ends it; then a piece at a time becomes
numbers, so that other threads are never kept waiting for long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from effnet.serving.errors import Refused
from effnet.serving.limits import Limits
from effnet.serving.signatures import Signature

_LARGEST_WHOLE = 2**24 - 1
"""Whole numbers beyond are not all float32 numbers; TensorFlow Serving refuses them too."""
_PIECE = 4096
"""Pixels that become numbers at once: less than a millisecond."""
_DEEPEST = 8
"""Levels of nesting that a message shows."""


def read_numbers(value: Any, signature: Signature, limits: Limits, *, suspicious: bool) -> NDArray[np.float32]:
    """The images (N, H, W, C). `suspicious`: there may be text, true or false among the numbers.

    Raises `Refused`.
    """
    taken = signature.input.shape
    named = zip(("N", "height", "width", "channels"), taken, strict=True)
    sizes = ", ".join(name if size < 0 else str(size) for name, size in named)
    expected = f"expected {signature.input_name} as numbers of shape ({sizes})"
    shape = _shape(value, expected)
    _check_shape(shape, taken, expected, limits)
    _check_lengths(value, shape, expected)
    images = np.empty(shape, np.float32)
    step = max(1, _PIECE // shape[2])
    for image, rows in zip(images, value, strict=True):
        for start in range(0, shape[1], step):
            image[start : start + step] = _piece(rows[start : start + step], shape, expected, suspicious=suspicious)
    if not np.isfinite(images).all():
        raise Refused(f"Found NaN, an infinite number or one beyond float32; {expected}, normalised and finite.")
    return images


def check_count(count: int, limits: Limits) -> None:
    """Raises `Refused` for no images, and for more than are taken."""
    if not 0 < count <= limits.queue:
        raise Refused(
            f"Found {count} images in a request; expected 1 to {limits.queue} (--queue). Send several requests."
        )


def _shape(value: Any, expected: str) -> tuple[int, ...]:
    """The shape that the first elements have."""
    shape: list[int] = []
    while isinstance(value, list) and len(shape) < _DEEPEST:
        items = cast("list[Any]", value)
        shape.append(len(items))
        if not items:
            break
        value = items[0]
    if not isinstance(value, list):
        _check_number(value, expected)
    return tuple(shape)


def _check_number(value: Any, expected: str) -> None:
    if isinstance(value, dict) and set(cast("dict[str, Any]", value)) == {"b64"}:
        raise Refused(
            f"Found a file among the numbers; {expected}. Files go to the signature that takes them: say which by "
            '"signature_name", such as "classify_bytes".'
        )
    if isinstance(value, bool | str | dict):
        raise Refused(f"Found true, false, text or an object among the numbers; {expected}.")
    if value is None:
        raise Refused(f"Found something else than numbers that fit a float32; {expected}.")


def _check_shape(shape: tuple[int, ...], taken: tuple[int, ...], expected: str, limits: Limits) -> None:
    shown = f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
    if len(shape) != 4 or 0 in shape or any(size not in (-1, own) for own, size in zip(shape, taken, strict=True)):
        raise Refused(f"Found the shape {shown}; {expected}, none of them 0.")
    check_count(shape[0], limits)
    if shape[1] * shape[2] > limits.input_pixels:
        raise Refused(
            f"Found images of {shape[1]} x {shape[2]} pixels; at most {limits.input_pixels:,} pixels are taken "
            "(--max-input-pixels). Send smaller ones."
        )


def _check_lengths(value: Sequence[Any], shape: tuple[int, ...], expected: str) -> None:
    """Images and rows are as long as the first: so the array is not much larger than what was sent."""
    for index, image in enumerate(value):
        _check_length(image, shape[1], f"image {index}", expected)
        for row in image:
            _check_length(row, shape[2], f"a row of image {index}", expected)


def _check_length(value: Any, length: int, what: str, expected: str) -> None:
    if not isinstance(value, list):
        _check_number(value, expected)
        raise _ragged(f"{what} is a number", expected)
    if len(cast("list[Any]", value)) != length:
        raise _ragged(f"{what} has {len(cast('list[Any]', value))} elements, and the first {length}", expected)


def _ragged(why: str, expected: str) -> Refused:
    return Refused(f"The lists do not form an array, {expected}: {why}.")


def _piece(rows: Sequence[Any], shape: tuple[int, ...], expected: str, *, suspicious: bool) -> NDArray[np.float32]:
    """Some rows as numbers (rows, W, C)."""
    # NumPy takes booleans for 1 and 0, and gives every string of an array the room of the longest.
    if suspicious:
        for pixel in (pixel for row in rows for pixel in row):
            for number in cast("list[Any]", pixel) if isinstance(pixel, list) else [pixel]:
                _check_number(number, expected)
                if isinstance(number, list):
                    raise _ragged("one of the numbers is a list", expected)
    try:
        array = np.array(rows)
    except (ValueError, OverflowError) as error:
        raise _ragged(str(error)[:100], expected) from None
    if array.dtype.kind not in "iuf":
        raise Refused(f"Found something else than numbers that fit a float32; {expected}.")
    if array.shape != (len(rows), *shape[2:]):
        raise _ragged(f"some rows have the shape {array.shape[1:]}, and the first {shape[2:]}", expected)
    if array.dtype.kind in "iu" and max(-int(array.min()), int(array.max())) > _LARGEST_WHOLE:
        raise Refused(f"Found a whole number beyond {_LARGEST_WHOLE}, which float32 cannot hold exactly; {expected}.")
    with np.errstate(over="ignore"):
        return array.astype(np.float32)
