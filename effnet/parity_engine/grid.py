"""Numbers on a fixed-point grid, on which sums do not depend on their order.

Every weight is a multiple of a power of two, and so is what every layer gives: then products and sums are exact in
float64 as long as they need no more than 53 bits, whatever the order, the blocking or the device. What cannot be exact
(a division, an exponential function) is rounded to the grid again. The boundaries between its steps lie at an
irrational distance from every fraction with a small denominator, so that two correct implementations, whose results
differ in the last bits of float64, are rounded to the same step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet_core import HiddenNorm, InvalidOption, NetworkSpec, Norm, Parameter, Role, parameters
from effnet_core import norm_of as batch_norm_of

Array = NDArray[Any]
MANTISSA = 53
"""Bits of a float64."""
OFFSET = (5**0.5 - 1) / 2
"""Of the boundaries, in steps. The golden ratio is farthest of all numbers from fractions with small denominators
(Hurwitz, 1891): |OFFSET - k / n| > 0.38 / n^2."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """How fine the steps are, in bits."""

    activations: int = 12
    """Results of layers are multiples of 2 ** -activations."""
    weights: int = 10
    """Each tensor of weights is a multiple of 2 ** -weights of the power of two above its largest value."""
    mixture: int = 4
    """Shares of experts are multiples of 2 ** -mixture, and experts' kernels that much coarser: together they are as
    fine as any other kernel."""

    def __post_init__(self) -> None:
        if not (1 <= self.mixture < self.weights <= 24 and 1 <= self.activations <= 30):
            raise InvalidOption(
                f"The grid is {self}; expected activations from 1 to 30, weights from 2 to 24, mixture below weights."
            )


def to_grid(values: Array, bits: int) -> tuple[Array, float]:
    """Multiples of 2 ** -bits, and how near a value came to a boundary, in steps; NaN where one is not finite."""
    steps = values * 2.0**bits + OFFSET
    lower = np.floor(steps)
    part = steps - lower
    margin = float(np.minimum(part, 1 - part).min()) if values.size else 0.5
    return lower * 2.0**-bits, margin


def grid_state(
    spec: NetworkSpec, state: Mapping[str, Array], grid: Grid, *, reference: NetworkSpec
) -> dict[str, Array]:
    """A state of `spec` whose every normalisation scales by a power of two times a gamma of few bits, in float64.

    variance = 4 ** j - epsilon, so that 1 / sqrt(variance + epsilon) = 2 ** -j, with j as near as can be to the
    original; gamma takes the rest of the original scale. The epsilon is that of `reference`, so that a network with
    another one shows. Tensors that `state` does not have are left out.
    """
    result: dict[str, Array] = {}
    for parameter in parameters(spec):
        if parameter.name not in state:
            continue
        values = np.asarray(state[parameter.name], dtype=np.float64)
        if parameter.role in (Role.GAMMA, Role.VARIANCE):
            epsilon = norm_of(reference, parameter.layer).epsilon
            variance = np.asarray(state[f"{parameter.layer}.variance"], dtype=np.float64)
            powers = _powers(variance, epsilon)
            if parameter.role is Role.VARIANCE:
                result[parameter.name] = _variances(powers, epsilon)
                continue
            values = values * powers / np.sqrt(np.maximum(variance, 0) + epsilon)
        result[parameter.name] = _rounded(values, _bits(parameter, grid))
    return result


def norm_of(spec: NetworkSpec, layer: str) -> Norm:
    """Epsilon and decay of the normalisation of that path; hidden ones have their own."""
    hidden = () if spec.classifier is None else spec.classifier.hidden
    own = {f"hidden.{index}": norm for index, norm in enumerate(hidden) if isinstance(norm, HiddenNorm)}
    found = own.get(layer)
    if found is None:
        return batch_norm_of(spec, wanted="an epsilon")
    return Norm(epsilon=found.epsilon, decay=found.decay)


def unit(values: Array) -> float:
    """The largest power of two of which every value is a multiple; infinity where all are zero."""
    mantissa, exponent = np.frexp(values[values != 0])
    if not mantissa.size:
        return float("inf")
    whole = np.abs(mantissa * 2.0**MANTISSA).astype(np.int64)
    lowest = np.frexp((whole & -whole).astype(np.float64))[1] - 1  # of the lowest bit that is set
    return float(2.0 ** (exponent.astype(np.int64) - MANTISSA + lowest).min())


def _bits(parameter: Parameter, grid: Grid) -> int:
    return grid.weights - (grid.mixture if parameter.expert_shape is not None else 0)


def _rounded(values: Array, bits: int) -> Array:
    largest = float(np.abs(values).max()) if values.size else 0.0
    if largest == 0:
        return values + 0.0
    step = 2.0 ** (int(np.frexp(largest)[1]) - bits)
    return np.round(values / step) * step + 0.0  # no negative zero


def _powers(variance: Array, epsilon: float) -> Array:
    """2 ** j, for each channel, with 4 ** j near variance + epsilon and above epsilon."""
    lowest = np.floor(np.log2(epsilon) / 2) + 1 if epsilon > 0 else -500.0
    total = np.maximum(np.maximum(variance, 0) + epsilon, 2.0**-900)
    return 2.0 ** np.maximum(np.round(np.log2(total) / 2), lowest)


def _variances(powers: Array, epsilon: float) -> Array:
    """Variances whose sum with epsilon rounds to the squares of `powers`."""
    squares = powers * powers
    variances = squares - epsilon
    for _ in range(2):
        gap = np.sign(squares - (variances + epsilon))
        variances = np.where(gap == 0, variances, np.nextafter(variances, np.copysign(np.inf, gap)))
    return variances
