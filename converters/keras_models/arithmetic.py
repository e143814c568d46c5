"""The arithmetic of Keras' preprocessing layers and operations: factor and shift for each channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, cast

import numpy as np

from converters.dialects.dialect import PixelRange
from converters.errors import FormatError, counted
from converters.formats.base import Array, Reader
from converters.keras_json import Layer
from converters.keras_models.classes import IDLE, RANDOM, RESIZING, ZEROS
from converters.keras_models.operations import Kind, operation_of

_EPSILON = 1e-7
"""Below which no deviation falls: keras.backend.epsilon()."""
_LARGEST = 1e30
SHAPING = RESIZING | {ZEROS}
"""Layers that change the size of images."""
UNCHANGED = SHAPING | IDLE | RANDOM
"""Layers that leave the range of pixels as it is."""


@dataclass(frozen=True, kw_only=True)
class Affine:
    """factor * pixel + shift, for each channel."""

    factor: tuple[float, ...]
    shift: tuple[float, ...]

    def then(self, factor: Sequence[float], shift: Sequence[float]) -> Affine:
        """The same, multiplied and shifted once more."""
        return Affine(
            factor=tuple(one * by for one, by in zip(self.factor, factor, strict=True)),
            shift=tuple(one * by + more for one, by, more in zip(self.shift, factor, shift, strict=True)),
        )

    def as_range(self) -> PixelRange:
        """As (pixel - mean) / scale."""
        means = [0.0 - shift / factor for factor, shift in zip(self.factor, self.shift, strict=True)]  # no negative 0
        scales = [1 / factor for factor in self.factor]
        return PixelRange(mean=tuple(means), scale=tuple(scales))


def unchanged(channels: int) -> Affine:
    """What leaves every pixel as it is."""
    return Affine(factor=(1.0,) * channels, shift=(0.0,) * channels)


def step_of(reader: Reader, layer: Layer, channels: int) -> tuple[Sequence[float], Sequence[float]] | None:
    """Factor and shift of a layer, None where it is another layer or its numbers are not known."""
    if layer.kind == "Rescaling":
        factor = _numbers(layer.config.get("scale"), channels)
        shift = _numbers(layer.config.get("offset", 0.0), channels)
    elif layer.kind == "Normalization":
        factor, shift = _normalisation(reader, layer, channels)
    elif layer.kind in UNCHANGED:
        factor, shift = (1.0,) * channels, (0.0,) * channels
    else:
        factor, shift = _operation(layer, channels)
    return None if factor is None or shift is None or not all(factor) else (factor, shift)


def _operation(layer: Layer, channels: int) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Factor and shift of an operation on numbers; None where it is none, or has numbers by which it is no such one."""
    found = operation_of(layer)
    one, zero = (1.0,) * channels, (0.0,) * channels
    if found is None or found.kind is Kind.CAST:
        return (None, None) if found is None else (one, zero)
    numbers = _numbers(_of_channels(found.numbers), channels)
    if numbers is None or (found.kind is Kind.DIVIDE and (found.is_reversed or not all(numbers))):
        return None, None
    match found.kind:
        case Kind.ADD:
            return one, numbers
        case Kind.SUBTRACT:
            opposite = tuple(-value for value in (one if found.is_reversed else numbers))
            return (opposite, numbers) if found.is_reversed else (one, opposite)
        case Kind.MULTIPLY:
            return numbers, zero
        case Kind.DIVIDE:
            return _numbers([1 / value for value in numbers], channels), zero


def _of_channels(value: object) -> object:
    """The numbers that stand along the last axis alone, where an image has its channels; None for others."""
    while isinstance(value, list) and len(listed := cast("list[object]", value)) == 1:
        [value] = listed
    is_deeper = isinstance(value, list) and any(isinstance(one, list) for one in cast("list[object]", value))
    return None if is_deeper else cast("object", value)


def _normalisation(
    reader: Reader, layer: Layer, channels: int
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Factor and shift of a layer, from its configuration or from its tensors."""
    mean, variance = layer.config.get("mean"), layer.config.get("variance")
    if mean is None or variance is None:
        stored = f"{layer.path}/mean", f"{layer.path}/variance"
        if not all(name in reader.tensors for name in stored):
            return None, None
        mean, variance = channels_of(reader, stored[0], channels), variances_of(reader, stored[1], channels)
    means, variances = _numbers(mean, channels), _numbers(variance, channels)
    if means is None or variances is None or min(variances) < 0:
        return None, None
    deviations = deviations_of(variances)
    if layer.config.get("invert"):
        return tuple(deviations), means
    pairs = zip(means, deviations, strict=True)
    return tuple(1 / deviation for deviation in deviations), tuple(-mean / deviation for mean, deviation in pairs)


def deviations_of(variance: Sequence[float]) -> list[float]:
    """The roots of variances, bounded from below as Keras bounds them."""
    return [max(sqrt(value), _EPSILON) for value in variance]


def _numbers(value: object, channels: int) -> tuple[float, ...] | None:
    """Finite numbers for each channel from one or as many of a configuration, however deep in lists; else None."""
    try:
        found = _flat(value)
    except RecursionError:
        return None
    if len(found) == 1:
        found *= channels
    return tuple(found) if len(found) == channels and bool(np.isfinite(found).all()) else None


def _flat(value: object) -> list[float]:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST:
        return [float(value)]
    if isinstance(value, list | tuple):
        return [number for part in cast("Sequence[Any]", value) for number in _flat(part)]
    return [float("nan")]


def channels_of(reader: Reader, name: str, channels: int) -> tuple[float, ...]:
    """The numbers of a tensor, one a channel. Raises `FormatError` where they are not that many, or not finite."""
    array: Array = reader.read_ahead(name).astype(np.float64).reshape(-1)
    numbers = _numbers(array.tolist(), channels)
    if numbers is None:
        raise FormatError(
            f"{reader.path}: {name} holds {counted(array.size, 'number')}; expected one finite number a channel, "
            f"{channels}."
        )
    return numbers


def variances_of(reader: Reader, name: str, channels: int) -> tuple[float, ...]:
    """The same for variances. Raises `FormatError` for negative ones too."""
    numbers = channels_of(reader, name, channels)
    if min(numbers) < 0:
        raise FormatError(f"{reader.path}: {name} holds {min(numbers):g}; expected variances of at least 0.")
    return numbers
