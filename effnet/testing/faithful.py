"""Whether the copy of a model that a comparison runs computes what the model itself does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from effnet.errors import UnusableModel
from effnet.testing.sides import Array

_ALLOWED = {"float64": 1e-11, "float32": 1e-5, "float16": 4e-3, "bfloat16": 3e-2}
"""A part of an output's largest value. Both run the same operations in the same type, so that only the order of sums on
another device, or of threads, is left."""
PART = 2
"""Images for a copy that is made for this check alone."""


def check_faithful(
    title: str, given: Mapping[str, Array], copy: Mapping[str, Array], *, types: Iterable[str], advice: str
) -> None:
    """Raise `UnusableModel` unless the copy gave what the model gave, but for rounding in the coarsest of `types`."""
    if set(given) != set(copy):
        raise UnusableModel(
            f"A copy of {title} gives other outputs than the model itself: {', '.join(copy)}, expected "
            f"{', '.join(given)}. {advice}"
        )
    allowed = max((_ALLOWED[name] for name in types if name in _ALLOWED), default=_ALLOWED["float32"])
    for name, expected in given.items():
        gap = _gap(expected, copy[name])
        if gap > allowed:
            raise UnusableModel(
                f"A copy of {title} computes something else than the model itself: {name} is {gap:.1e} of its largest "
                f"value apart on the same input. {advice}"
            )


def _gap(a: Array, b: Array) -> float:
    """The largest difference as a part of the largest value; infinite for other shapes, or NaN and Inf elsewhere."""
    if a.shape != b.shape:
        return float("inf")
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(wide_a)
    if not (np.array_equal(finite, np.isfinite(wide_b)) and np.array_equal(a[~finite], b[~finite], equal_nan=True)):
        return float("inf")
    largest = max(float(np.abs(side[finite]).max(initial=0)) for side in (wide_a, wide_b))
    apart = float(np.abs(wide_a[finite] - wide_b[finite]).max(initial=0))
    return apart / largest if largest > 0 else 0.0
