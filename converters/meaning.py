"""What weights mean in a dialect's own network, and what a conversion does where the target's means something else.

Weights are numbers; padding, epsilon and input normalisation make logits of them. Where the target's own network fixes
one of these to another value than the source has, the conversion either makes up for it exactly, says what the caller
has to do, or refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isclose

import numpy as np

from converters.dialects.dialect import Dialect, PixelRange, Semantics
from converters.errors import FormatError
from converters.formats.base import Array, Reader
from effnet_core import EffnetError, NetworkSpec, Padding, Preprocessing

STORED_RECIPE = "stored-normalisation"
"""The recipe of a definition whose input normalisation was found in tensors of the file."""
_PADS = {
    Padding.SAME: "pads as TensorFlow does (SAME: ceil(size / stride), the odd pixel bottom and right)",
    Padding.SYMMETRIC: "pads by (kernel - 1) // 2 on every side",
}


class DifferentSemantics(EffnetError):
    """The target's own network would compute something else from the same weights."""


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """How a network is carried into a dialect whose own network has fixed semantics."""

    spec: NetworkSpec
    """What the target's own network computes from the written weights."""
    notes: tuple[str, ...]
    """What was decided, a sentence each."""


def understood(spec: NetworkSpec, dialect: Dialect) -> NetworkSpec:
    """The definition with the padding, epsilon and decay that the dialect's own network of this variant has."""
    own = dialect.meaning(spec.name)
    if own is None:
        return spec
    decay = spec.norm.decay if own.decay is None else own.decay
    spec = replace(spec, padding=own.padding, norm=replace(spec.norm, epsilon=own.epsilon, decay=decay))
    if own.normalises is None:
        return spec
    return replace(spec, preprocessing=normalised_by(spec.preprocessing, own.normalises))


def normalised_by(preprocessing: Preprocessing, pixels: PixelRange) -> Preprocessing:
    """The preprocessing with another normalisation; as it is where the two are the same but for float32's rounding."""
    pairs = zip((*preprocessing.mean, *preprocessing.scale), (*pixels.mean, *pixels.scale), strict=True)
    if all(isclose(one, other, rel_tol=1e-6) for one, other in pairs):
        return preprocessing
    return replace(preprocessing, recipe=STORED_RECIPE, mean=pixels.mean, scale=pixels.scale)


def settle(spec: NetworkSpec, dialect: Dialect, *, accept_different_logits: bool) -> Settlement:
    """What to do so that the dialect's own network gives the logits of `spec`.

    Raises `DifferentSemantics` where nothing can be done, unless the user accepts other logits.
    """
    own = dialect.meaning(spec.name)
    if own is None:
        return Settlement(spec=spec, notes=())
    notes: list[str] = []
    if own.padding is not spec.padding:
        if not accept_different_logits:
            raise DifferentSemantics(_refusal(spec, dialect, own))
        notes.append(
            f"Padding differs: this network {_PADS[spec.padding]}, {dialect.title} {_PADS[own.padding]}. The logits "
            "will differ, as you accepted; effnet parity shows by how much."
        )
    if own.decay not in (None, spec.norm.decay):
        notes.append(
            f"Batch-norm decay differs: {spec.norm.decay:g} here, {own.decay:g} in {dialect.title} (in PyTorch's words "
            f"momentum {1 - spec.norm.decay:.3g} and {1 - own.decay:.3g}). It matters in training only."
        )
    notes += _input_notes(spec, dialect, own)
    return Settlement(
        spec=replace(spec, padding=own.padding, norm=replace(spec.norm, epsilon=own.epsilon)),
        notes=tuple(notes),
    )


def _refusal(spec: NetworkSpec, dialect: Dialect, own: Semantics) -> str:
    return (
        f"{dialect.title} would give other logits from these weights: its network {_PADS[own.padding]}; the one that "
        f"was trained {_PADS[spec.padding]}. At every stride of 2 that shifts the image by up to a pixel.\n"
        "Expected: a target that pads as the source does. Ways out:\n"
        "  --to effnet-torch, --to native or a .keras file: this project's networks pad as the definition says;\n"
        "  --accept-different-logits (accept_different_logits=True): write the weights all the same. Measure what it "
        "costs with effnet parity, and fine-tune."
    )


def _input_notes(spec: NetworkSpec, dialect: Dialect, own: Semantics) -> list[str]:
    prepared = spec.preprocessing
    if own.normalises is None or (own.normalises.mean, own.normalises.scale) == (prepared.mean, prepared.scale):
        return []
    return [
        f"Input differs: {dialect.title} itself normalises pixels as {pixel_formula(own.normalises)}; these weights "
        f"expect {pixel_formula(prepared)}. Build its model without its own "
        "normalisation and normalise as these weights expect; the definition in the file says it too."
    ]


def pixel_formula(pixels: PixelRange | Preprocessing) -> str:
    """The normalisation as a formula for people."""
    return f"(pixel - {_numbers(pixels.mean)}) / {_numbers(pixels.scale)}"


def _numbers(values: tuple[float, float, float]) -> str:
    return f"{values[0]:.6g}" if len(set(values)) == 1 else f"({', '.join(f'{value:.6g}' for value in values)})"


def stored_range(reader: Reader, dialect: Dialect, names: Mapping[str, str]) -> PixelRange | None:
    """The normalisation in the file's own tensors; `names` are those of the file by variable name.

    None where the dialect has no such tensors or the file lacks them. Raises `FormatError` where they are not one
    finite number for each of three channels, or a variance is not above zero.
    """
    tensors = dialect.normalisation
    if tensors is None or tensors.mean not in names or tensors.variance not in names:
        return None
    mean, variance = (_channels(reader, names[name]) for name in (tensors.mean, tensors.variance))
    if min(variance) <= 0:
        raise FormatError(f"{reader.path}: {tensors.variance} holds {variance}; expected numbers above zero.")
    red, green, blue = (255 * value for value in mean)
    scale_red, scale_green, scale_blue = (255 * value**0.5 for value in variance)
    return PixelRange(mean=(red, green, blue), scale=(scale_red, scale_green, scale_blue))


def _channels(reader: Reader, name: str) -> list[float]:
    array: Array = reader.read(name).astype(np.float64).reshape(-1)
    if array.size != 3 or not np.isfinite(array).all():
        raise FormatError(f"{reader.path}: {name} holds {array.size} numbers; expected one finite number a channel, 3.")
    return [float(value) for value in array]
