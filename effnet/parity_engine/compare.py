"""How far two sets of intermediate results are apart: numpy alone, no framework.

Two backends never agree to the last bit: they sum in different orders. Float64 tells a difference of meaning from one
of rounding, and each side's own distance from its float32 to its float64 result shows how much rounding is usual.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
SAME_IMAGES = 1e-6
"""Outputs whose images differ by less than this part of the largest value count as the same for every image."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The largest |a - b| of a layer that still counts as agreement, as a part of the layer's largest value."""

    float64: float = 1e-11
    float32: float = 1e-5


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What one network gave: endpoint -> array with the batch first and channels last, in both precisions."""

    float32: Mapping[str, Array]
    float64: Mapping[str, Array]


class Remark(StrEnum):
    """What makes the comparison of a layer worthless, or a difference by itself."""

    NOT_FINITE = "NaN or Inf"
    CONSTANT = "constant: proves nothing"
    SAME_IMAGES = "same for every image: proves little"


@dataclass(frozen=True, kw_only=True)
class Distance:
    """How far two arrays are apart; NaN where one of them is not finite."""

    max_abs: float
    """Largest |a - b|."""
    relative: float
    """max_abs as a part of the largest |value| of both; 0 where both are zero."""
    relative_l2: float
    """Norm of a - b as a part of the larger norm; 0 where both are zero."""


@dataclass(frozen=True, kw_only=True)
class LayerComparison:
    """One endpoint on both sides."""

    name: str
    shape: tuple[int, ...]
    """(N, H, W, C) or (N, C)."""
    largest: float
    """Largest |value| of both in float64."""
    float64: Distance
    float32: Distance
    own_a: Distance
    """From a's float32 to a's float64."""
    own_b: Distance
    agrees: bool
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All endpoints in forward order."""

    layers: tuple[LayerComparison, ...]
    limits: Limits
    images: int
    same_argmax: int | None
    """Images whose largest logit is the same class on both sides in float32; None without logits."""

    @property
    def first_difference(self) -> str | None:
        """The first layer that does not agree."""
        return next((layer.name for layer in self.layers if not layer.agrees), None)

    @property
    def agrees(self) -> bool:
        """True when every layer agrees."""
        return self.first_difference is None


def compare(a: Outputs, b: Outputs, *, limits: Limits | None = None) -> Comparison:
    """Compare every endpoint of two networks, in the order of `a`.

    Raises `ValueError` when names or shapes differ: such networks have nothing to compare.
    """
    chosen = Limits() if limits is None else limits
    layers = tuple(_layer(name, a, b, chosen) for name in _common_names(a, b))
    logits = a.float32.get("logits"), b.float32.get("logits")
    same = None if logits[0] is None or logits[1] is None else _same_argmax(logits[0], logits[1])
    return Comparison(layers=layers, limits=chosen, images=layers[0].shape[0], same_argmax=same)


def distance(a: Array, b: Array) -> Distance:
    """How far two arrays of one shape are apart, computed in float64."""
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    if not (np.isfinite(wide_a).all() and np.isfinite(wide_b).all()):
        return Distance(max_abs=float("nan"), relative=float("nan"), relative_l2=float("nan"))
    gap = wide_a - wide_b
    max_abs = _largest(gap)
    norm = max(float(np.linalg.norm(wide_a)), float(np.linalg.norm(wide_b)))
    return Distance(
        max_abs=max_abs,
        relative=_part(max_abs, max(_largest(wide_a), _largest(wide_b))),
        relative_l2=_part(float(np.linalg.norm(gap)), norm),
    )


def _common_names(a: Outputs, b: Outputs) -> tuple[str, ...]:
    names = tuple(a.float32)
    for other in (a.float64, b.float32, b.float64):
        if tuple(other) != names:
            raise ValueError(f"Expected the endpoints {names}, found {tuple(other)}.")
        different = [name for name in names if other[name].shape != a.float32[name].shape]
        if different:
            raise ValueError(f"The shapes of these endpoints differ: {', '.join(different)}.")
    if not names:
        raise ValueError("There is no endpoint to compare.")
    return names


def _layer(name: str, a: Outputs, b: Outputs, limits: Limits) -> LayerComparison:
    float64 = distance(a.float64[name], b.float64[name])
    float32 = distance(a.float32[name], b.float32[name])
    # Comparisons with NaN are false, so that NaN never agrees.
    agrees = float64.relative <= limits.float64 and float32.relative <= limits.float32
    return LayerComparison(
        name=name,
        shape=a.float64[name].shape,
        largest=max(_largest(a.float64[name]), _largest(b.float64[name])),
        float64=float64,
        float32=float32,
        own_a=distance(a.float32[name], a.float64[name]),
        own_b=distance(b.float32[name], b.float64[name]),
        agrees=agrees,
        remarks=remarks(a.float64[name], b.float64[name], finite=not np.isnan(float64.max_abs + float32.max_abs)),
    )


def remarks(a: Array, b: Array, *, finite: bool) -> tuple[Remark, ...]:
    """What makes a comparison of `a` and `b` worthless; `finite`: whether all their numbers are."""
    if not finite:
        return (Remark.NOT_FINITE,)
    if any(np.ptp(side) == 0 for side in (a, b)):
        return (Remark.CONSTANT,)
    if len(a) > 1 and any(_largest(side - side[:1]) <= SAME_IMAGES * _largest(side) for side in (a, b)):
        return (Remark.SAME_IMAGES,)
    return ()


def _same_argmax(a: Array, b: Array) -> int:
    finite = np.isfinite(a).all(axis=-1) & np.isfinite(b).all(axis=-1)
    return int(np.count_nonzero((a.argmax(axis=-1) == b.argmax(axis=-1)) & finite))


def _largest(values: Array) -> float:
    return float(np.abs(values).max())


def _part(value: float, whole: float) -> float:
    return value / whole if whole > 0 else 0.0
