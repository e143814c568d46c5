"""How far two sets of intermediate results are apart: numpy alone, no framework.

Two backends never agree to the last bit: they sum in different orders. Each side's own distance from its float32 to its
float64 result measures how far rounding takes a layer; scaled by the ratio of the roundoffs, it says how far it can
take the two apart in float64, where everything beyond is a difference of meaning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet_core import InvalidOption

Array = NDArray[Any]
SAME_IMAGES = 1e-6
"""Outputs whose images differ by less than this part of the largest value count as the same for every image."""

MULTIPLE = 16
"""How many times the explained distance still counts as agreement. Two right backends were seen at up to 2.4 times:
docs/parity.md has the numbers and the command that measured them."""
FLOOR = 4
"""Units of roundoff below which no distance means anything: results that float32 happens to hold exactly have none."""
FEW = 8
"""Fewer numbers than so many may be exact by luck on one side: the larger of both own distances counts there."""
ROUNDOFF32, ROUNDOFF64 = 2.0**-24, 2.0**-53


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The largest |a - b| of a layer that still counts as agreement, as a part of the layer's largest value.

    None: as far as rounding explains it (`explained`). Raises `InvalidOption` for what is no finite number from 0 on.
    """

    float64: float | None = None
    float32: float | None = None

    def __post_init__(self) -> None:
        for precision, limit in (("float64", self.float64), ("float32", self.float32)):
            if limit is not None:
                check_limit(limit, f"The limit in {precision}")


def check_limit(value: Any, what: str) -> None:
    """Raise `InvalidOption` unless `value` can be a limit: nothing exceeds NaN or infinity, or is below 0."""
    number = isinstance(value, int | float | np.floating) and not isinstance(value, bool)
    if not number or not 0 <= value < math.inf:
        raise InvalidOption(f"{what} is {value!r}; expected a finite number from 0 on, such as 1e-5.")


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
    explained64: float
    """Relative L2 that rounding explains in float64."""
    explained32: float
    agrees64: bool
    """Whether the two are no farther apart in float64 than the limit allows."""
    agrees32: bool
    remarks: tuple[Remark, ...]

    @property
    def agrees(self) -> bool:
        """Whether the two agree in both precisions."""
        return self.agrees64 and self.agrees32


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


def explained(own_a: float, own_b: float, *, roundoff: float) -> float:
    """How large a relative distance rounding explains, with that unit of roundoff.

    It is the smaller one of the backends' own distances between float32 and float64, in proportion to the roundoff, so
    that a backend that computes with less precision than float32 explains nothing; at least a few units.
    """
    return max(min(own_a, own_b) * (roundoff / ROUNDOFF32), FLOOR * roundoff)


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
    own_a, own_b = distance(a.float32[name], a.float64[name]), distance(b.float32[name], b.float64[name])
    owns = own_a.relative_l2, own_b.relative_l2
    if a.float64[name].size < FEW:
        owns = (max(owns), max(owns))
    wide, narrow = (explained(*owns, roundoff=roundoff) for roundoff in (ROUNDOFF64, ROUNDOFF32))
    return LayerComparison(
        name=name,
        shape=a.float64[name].shape,
        largest=max(_largest(a.float64[name]), _largest(b.float64[name])),
        float64=float64,
        float32=float32,
        own_a=own_a,
        own_b=own_b,
        explained64=wide,
        explained32=narrow,
        agrees64=_agrees(float64, limits.float64, wide),
        agrees32=_agrees(float32, limits.float32, narrow),
        remarks=remarks(a.float64[name], b.float64[name], finite=not np.isnan(float64.max_abs + float32.max_abs)),
    )


def _agrees(found: Distance, limit: float | None, by_rounding: float) -> bool:
    # Comparisons with NaN are false, so that NaN never agrees.
    return found.relative_l2 <= MULTIPLE * by_rounding if limit is None else found.relative <= limit


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
