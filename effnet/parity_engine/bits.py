"""Two arrays compared bit for bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from effnet.parity_engine.compare import Array, Remark, distance, remarks

NEAR = 2.0**-30
"""Of a step of the grid. Two implementations of a function differ by less than 2 ** -33 steps of the usual grid; nearer
to a boundary than this, the last bits of float64 might decide on which side of it a number is."""

UNROUNDED = 0.5
"""Steps to the nearest boundary of what is on the grid as it is."""


@dataclass(frozen=True, kw_only=True)
class Bits:
    """One result, or one tensor, on both sides."""

    name: str
    shape: tuple[int, ...] | None
    """Of a; None where a does not have it."""
    shape_b: tuple[int, ...] | None
    size: int
    differing: int
    """Values of which a bit differs; all of them where the shapes differ or a side does not have it."""
    max_abs: float
    """Largest |a - b|; NaN where it cannot be said."""
    margin: float
    """How near a number came to a boundary of the grid, in steps, on either side."""
    remarks: tuple[Remark, ...] = ()

    @property
    def is_doubtful(self) -> bool:
        """Whether the difference might come from a number that lies on a boundary of the grid."""
        return self.differing > 0 and self.margin < NEAR


def differing_bits(
    name: str, a: Array | None, b: Array | None, *, margin: float = UNROUNDED, is_result: bool = False
) -> Bits:
    """Count the values that differ in a bit; `is_result`: also say what makes the comparison worthless.

    Values of float32 and float64 are compared as numbers: the float32 value and the same one in float64 are equal.
    """
    if a is None or b is None or a.shape != b.shape:
        size = max(0 if a is None else a.size, 0 if b is None else b.size)
        differing, max_abs, found = max(size, 1), float("nan"), ()
    else:
        left, right = (np.ascontiguousarray(side, dtype=np.float64) for side in (a, b))
        finite = np.isfinite(left) & np.isfinite(right)
        size, differing = left.size, int(np.count_nonzero((left.view(np.uint64) != right.view(np.uint64)) | ~finite))
        max_abs = distance(left, right).max_abs if differing else 0.0
        found = remarks(left, right, finite=bool(finite.all())) if is_result else ()
    return Bits(
        name=name,
        shape=None if a is None else a.shape,
        shape_b=None if b is None else b.shape,
        size=size,
        differing=differing,
        max_abs=max_abs,
        margin=margin,
        remarks=found,
    )
