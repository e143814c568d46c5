"""What weights mean in a dialect's own network, and what a conversion does where the target's means something else.

Weights are numbers; padding, epsilon and input normalisation make logits of them. Where the target's own network fixes
one of these to another value than the source has, the conversion either makes up for it exactly, says what the caller
has to do, or refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from math import isclose
from typing import NamedTuple

from converters.dialects.dialect import Configured, Dialect, PixelRange, Semantics
from effnet_core import EffnetError, NetworkSpec, Padding, Pooling, Preprocessing, norm_of

STORED_RECIPE = "stored-normalisation"
"""The recipe of a definition whose input normalisation was found in tensors of the file."""
_PADS = {
    Padding.SAME: "pads as TensorFlow does (SAME: ceil(size / stride), the odd pixel bottom and right)",
    Padding.SYMMETRIC: "pads by (kernel - 1) // 2 on every side",
}


class DifferentSemantics(EffnetError):
    """The target's own network would compute something else from the same weights."""


class Settlement(NamedTuple):
    """How a network is carried into a dialect whose own network has fixed semantics."""

    spec: NetworkSpec
    """What the target's own network computes from the written weights."""
    notes: tuple[str, ...]
    """What was decided, a sentence each."""


def understood(spec: NetworkSpec, dialect: Dialect) -> NetworkSpec:
    """The definition with the padding, residuals, epsilon and decay of the dialect's own network of this variant."""
    own = dialect.meaning(spec.name, spec.family)
    if own is None:
        return spec
    norm = norm_of(spec, wanted="an epsilon")
    decay = norm.decay if own.decay is None else own.decay
    spec = replace(own.built(spec), padding=own.padding, norm=replace(norm, epsilon=own.epsilon, decay=decay))
    if own.normalises is None:
        return spec
    return replace(spec, preprocessing=normalised_by(spec.preprocessing, own.normalises))


def configured(spec: NetworkSpec, dialect: Dialect, texts: Mapping[str, str]) -> Configured:
    """The definition with what the dialect's own text files beside the weights, by name, say of it."""
    return Configured(spec=spec) if dialect.configured is None else dialect.configured(spec, texts)


def normalised_by(preprocessing: Preprocessing, pixels: PixelRange) -> Preprocessing:
    """The preprocessing with another normalisation; as it is where the two are the same but for float32's rounding."""
    before, after = (*preprocessing.mean, *preprocessing.scale), (*pixels.mean, *pixels.scale)
    if len(before) == len(after) and all(map(partial(isclose, rel_tol=1e-6), before, after)):
        return preprocessing
    return replace(preprocessing, recipe=STORED_RECIPE, mean=pixels.mean, scale=pixels.scale)


def settle(spec: NetworkSpec, dialect: Dialect, *, accept_different_logits: bool) -> Settlement:
    """What to do so that the dialect's own network gives the logits of `spec`.

    Raises `DifferentSemantics` where nothing can be done, unless the user accepts other logits.
    """
    own = dialect.meaning(spec.name, spec.family)
    if own is None:
        return Settlement(spec=spec, notes=())
    norm = norm_of(spec, wanted="an epsilon")
    notes = _function_notes(spec, dialect, own, accept_different_logits=accept_different_logits)
    if own.padding is not spec.padding:
        if not accept_different_logits:
            raise DifferentSemantics(_refusal(spec, dialect, own))
        notes.append(
            f"Padding differs: this network {_PADS[spec.padding]}, {dialect.title} {_PADS[own.padding]}. The logits "
            "will differ, as you accepted; effnet parity shows by how much."
        )
    notes += _pooling_notes(spec, dialect, own, accept_different_logits=accept_different_logits)
    if own.decay not in (None, norm.decay):
        notes.append(
            f"Batch-norm decay differs: {norm.decay:g} here, {own.decay:g} in {dialect.title} (in PyTorch's words "
            f"momentum {1 - norm.decay:.3g} and {1 - own.decay:.3g}). It matters in training only."
        )
    notes += _input_notes(spec, dialect, own)
    if own.remark is not None:
        notes.append(own.remark)
    return Settlement(
        spec=replace(own.built(spec), padding=own.padding, norm=replace(norm, epsilon=own.epsilon)),
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


def _function_notes(spec: NetworkSpec, dialect: Dialect, own: Semantics, *, accept_different_logits: bool) -> list[str]:
    """A definition may change what no shape tells of its variant, and what other projects' networks have fixed."""
    changed = _changed(spec, own)
    if not changed:
        return []
    if not accept_different_logits:
        raise DifferentSemantics(
            f"{dialect.title} would give other logits from these weights: this network has {changed}, unlike its own "
            f"{spec.name}.\n"
            "Expected: a target whose network is as the definition says. Ways out:\n"
            "  --to effnet-torch, --to native or a .keras file: this project's networks are;\n"
            "  --accept-different-logits (accept_different_logits=True): write the weights all the same."
        )
    return [
        f"This network has {changed}, unlike the {spec.name} of {dialect.title}. The logits will differ, as you "
        "accepted; effnet parity shows by how much."
    ]


def _changed(spec: NetworkSpec, own: Semantics) -> str:
    """Which of the fields that no shape tells are others than in the dialect's network of the variant, in words."""
    from effnet_core import VARIANTS, resolve  # noqa: PLC0415 - the published tables, for other projects' networks alone

    if spec.name not in VARIANTS:
        return ""
    usual = own.built(resolve(spec.name, width=spec.width, depth=spec.depth))
    ends = [spec.stem, *spec.blocks, *([] if spec.head is None else [spec.head])]
    activations = dict.fromkeys(one.activation for one in ends if one.activation is not usual.stem.activation)
    found = [f"the activation {name}" for name in activations]
    blocks = list(zip(spec.blocks, usual.blocks, strict=False))
    if [(block.stage, block.repeat) for block in spec.blocks] != [
        (block.stage, block.repeat) for block in usual.blocks
    ]:
        blocks = []  # a list of blocks of its own, which these projects build as it is
    if spec.stem.stride != usual.stem.stride:
        found.append("a stem of another stride")
    if any(one.stride != other.stride for one, other in blocks):
        found.append("other strides")
    if (built := own.built(spec)) != spec:
        index = next(i for i, block in enumerate(spec.blocks) if block != built.blocks[i])
        found.append(f"a residual around block {index}, the first of a stage")
    elif any(one.has_residual != other.has_residual for one, other in blocks):
        found.append("other residuals")
    return " and ".join(found)


def _pooling_notes(spec: NetworkSpec, dialect: Dialect, own: Semantics, *, accept_different_logits: bool) -> list[str]:
    if spec.classifier is None or spec.classifier.pooling is not Pooling.MAX:
        return []
    if own.maximum_pooling is not None:
        return [
            "This network takes the maximum over the image before its classifier: make the model of "
            f"{dialect.title} with {own.maximum_pooling}, or it gives other logits."
        ]
    if not accept_different_logits:
        raise DifferentSemantics(
            f"{dialect.title} would give other logits from these weights: before its classifier its network takes the "
            "average over the image; the one that was trained takes the maximum.\n"
            "Expected: a target that pools as the source does. Ways out:\n"
            "  --to effnet-torch, --to native or a .keras file: this project's networks pool as the definition says;\n"
            "  --drop-head: features without a classifier;\n"
            "  --accept-different-logits (accept_different_logits=True): write the weights all the same."
        )
    return [
        f"Pooling differs: this network takes the maximum before its classifier, {dialect.title} the average. The "
        "logits will differ, as you accepted; effnet parity shows by how much."
    ]


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


def _numbers(values: tuple[float, ...]) -> str:
    return f"{values[0]:.6g}" if len(set(values)) == 1 else f"({', '.join(f'{value:.6g}' for value in values)})"
