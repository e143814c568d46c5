"""From a name and a few options to a resolved network: the only place where widths, depths and rates are computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple, TypedDict

from effnet_core.errors import InvalidSpec
from effnet_core.heads import Activation, Classifier, Head
from effnet_core.naming import canonical_name
from effnet_core.preprocessing import Preprocessing, WholeImage
from effnet_core.recipes import RECIPES, Recipe
from effnet_core.rounding import round_channels, round_repeats, squeeze_width
from effnet_core.spec import (
    Block,
    CondMBConv,
    Family,
    FusedMBConv,
    MBConv,
    NetworkSpec,
    Padding,
    Rounding,
    Stem,
)
from effnet_core.variants import FAMILIES, VARIANTS, FamilyTable, Kind, Stage, Variant

MAX_COEFFICIENT = 100
"""Of width and depth; L2, the largest network published, has 4.3 and 5.3."""


def resolve(
    name: str,
    *,
    width: float | None = None,
    depth: float | None = None,
    num_classes: int | None = None,
    in_channels: int = 3,
    resolution: int | None = None,
    dropout_rate: float | None = None,
    drop_connect_rate: float | None = None,
    recipe: str | None = None,
    rounding: Rounding | None = None,
    stages: tuple[Stage, ...] | None = None,
) -> NetworkSpec:
    """The resolved definition of a variant; what is not given is as published.

    `width` and `depth` are coefficients, `resolution` is the side of the square input in pixels, the rates are
    probabilities in [0, 1), `recipe` is a key of `RECIPES` and fixes the input normalisation (and, for training on
    ImageNet-21k, resolution and classes), `rounding` is the rule for scaled channels, `stages` replaces the table.

    Raises `UnknownVariant` for a name that is none and `InvalidSpec` for a value that is out of range.

    Source: tensorflow/tpu models/official/efficientnet/efficientnet_model.py and efficientnet_builder.py,
    google/automl efficientnetv2/effnetv2_model.py.

    >>> resolve("b0").blocks[-1].out_channels
    320
    """
    official = canonical_name(name)
    variant = VARIANTS[official]
    if stages is not None:
        variant = replace(variant, stages=stages)
    table = FAMILIES[variant.family]
    recipe = _usual_recipe(variant, num_classes) if recipe is None else recipe
    prepared = _find_recipe(recipe)
    scale = _Scale(
        table=table,
        width=variant.width if width is None else _positive("width", width),
        depth=variant.depth if depth is None else _positive("depth", depth),
        rounding=table.rounding if rounding is None else rounding,
        rate=table.drop_connect_rate if drop_connect_rate is None else float(drop_connect_rate),
    )
    stem = Stem(
        kernel_size=3,
        stride=2,
        in_channels=_count("number of input channels", in_channels),
        out_channels=scale.end_channels(variant.stem_channels),
        activation=table.activation,
    )
    blocks = _blocks(variant, scale, stem.out_channels)
    head = Head(
        in_channels=blocks[-1].out_channels if blocks else stem.out_channels,
        out_channels=scale.end_channels(table.head_channels),
        activation=table.activation,
    )
    classes = _count("number of classes", _first(num_classes, prepared.num_classes, table.num_classes))
    return NetworkSpec(
        name=official,
        family=variant.family,
        width=scale.width,
        depth=scale.depth,
        rounding=scale.rounding,
        padding=Padding.SAME,
        # The V2 code, whose rule this is, has a decay of its own, for the V1 networks that it builds too.
        norm=FAMILIES[Family.V2].norm if scale.rounding is Rounding.NEAREST else table.norm,
        stem=stem,
        blocks=blocks,
        head=head,
        classifier=Classifier(
            in_channels=head.out_channels,
            num_classes=classes,
            label_offset=table.label_offset_of(classes),
            dropout_rate=variant.dropout_rate if dropout_rate is None else float(dropout_rate),
        ),
        preprocessing=recipe_preprocessing(
            recipe,
            resolution=_first(resolution, prepared.resolution, variant.resolution),
        ),
    )


def recipe_preprocessing(recipe: str, *, resolution: int) -> Preprocessing:
    """The evaluation preprocessing of a recipe, `resolution` in pixels. Raises `InvalidSpec` for an unknown recipe."""
    rule = _find_recipe(recipe)
    is_cropped = rule.uncropped_from is None or _count("resolution", resolution) < rule.uncropped_from
    return Preprocessing(
        recipe=recipe,
        resolution=_count("resolution", resolution),
        crop=rule.crop if is_cropped else WholeImage(),
        resampling=rule.resampling,
        mean=rule.mean,
        scale=rule.scale,
        jpeg=rule.jpeg,
    )


def block_count(name: str, *, depth: float) -> int:
    """Number of blocks that a variant has at a depth coefficient; quicker than resolving it."""
    variant = VARIANTS[canonical_name(name)]
    return sum(_repeats(FAMILIES[variant.family], variant.stages, depth=_positive("depth", depth)))


def _repeats(table: FamilyTable, stages: tuple[Stage, ...], *, depth: float) -> list[int]:
    """Blocks of each stage."""
    ends = () if table.scales_ends else (0, len(stages) - 1)
    return [
        stage.repeats if index in ends else round_repeats(stage.repeats, depth=depth)
        for index, stage in enumerate(stages)
    ]


class _Scale(NamedTuple):
    """Coefficients and rules by which a table becomes a network."""

    table: FamilyTable
    width: float
    depth: float
    rounding: Rounding
    rate: float
    """The drop-connect rate that the network would reach after its last block."""

    def channels(self, channels: int) -> int:
        return round_channels(channels, width=self.width, rounding=self.rounding)

    def end_channels(self, channels: int) -> int:
        """Of stem and head."""
        return self.channels(channels) if self.table.scales_ends else channels


class _Common(TypedDict):
    """The fields that every kind of block has, and that all blocks of a stage but the first share."""

    stage: int
    kernel_size: int
    stride: int
    in_channels: int
    expanded_channels: int
    out_channels: int
    has_expansion: bool
    has_residual: bool
    activation: Activation


def _blocks(variant: Variant, scale: _Scale, in_channels: int) -> tuple[Block, ...]:
    repeats = _repeats(scale.table, variant.stages, depth=scale.depth)
    total = sum(repeats)
    blocks: list[Block] = []
    for number, (stage, count) in enumerate(zip(variant.stages, repeats, strict=True), start=1):
        make = _block_maker(variant, scale, stage, number=number, in_channels=in_channels)
        for repeat in range(count):
            if repeat == 1:
                row = replace(stage, stride=1, in_channels=stage.out_channels)
                make = _block_maker(variant, scale, row, number=number, in_channels=in_channels)
            block = make(repeat=repeat, drop_connect_rate=scale.rate * len(blocks) / total)
            blocks.append(block)
            in_channels = block.out_channels
    return tuple(blocks)


def _block_maker(variant: Variant, scale: _Scale, row: Stage, *, number: int, in_channels: int) -> Callable[..., Block]:
    """Makes the blocks of a row of the table from what they do not share: `repeat` and `drop_connect_rate`.

    `in_channels` are the real ones, which may differ from the table's in the first block.
    """
    nominal, out_channels = scale.channels(row.in_channels), scale.channels(row.out_channels)
    has_expansion = row.expansion != 1
    common = _Common(
        stage=number,
        kernel_size=row.kernel_size,
        stride=row.stride,
        in_channels=in_channels,
        expanded_channels=nominal * row.expansion if has_expansion else in_channels,
        out_channels=out_channels,
        has_expansion=has_expansion,
        has_residual=row.skips and row.stride == 1 and in_channels == out_channels,
        activation=scale.table.activation,
    )
    ratio = scale.table.squeeze_ratio
    squeeze_channels = None if ratio is None else squeeze_width(nominal, ratio=ratio)
    match row.kind:
        case Kind.MBCONV:
            return partial(MBConv, **common, squeeze_channels=squeeze_channels)
        case Kind.FUSED:
            return partial(FusedMBConv, **common)
        case Kind.COND:
            experts = variant.num_experts or 1
            return partial(CondMBConv, **common, squeeze_channels=squeeze_channels, num_experts=experts)


def _usual_recipe(variant: Variant, num_classes: int | None) -> str:
    """The recipe that is known by its number of classes, such as that of ImageNet-21k, else the variant's first."""
    known = (name for name in variant.recipes if num_classes is not None and RECIPES[name].num_classes == num_classes)
    return next(known, variant.recipes[0])


def _find_recipe(name: str) -> Recipe:
    if name not in RECIPES:
        raise InvalidSpec(f"There is no recipe named {name!r}. Recipes: {', '.join(RECIPES)}.")
    return RECIPES[name]


def _first(*values: int | None) -> int:
    """The first that is given; the last one always is."""
    return next(value for value in values if value is not None)


def _positive(what: str, value: float) -> float:
    if type(value) not in (int, float) or not 0 < value < MAX_COEFFICIENT:
        raise InvalidSpec(
            f"The {what} coefficient is {value!r}; expected a number above 0 and below {MAX_COEFFICIENT}, such as 1.0."
        )
    return float(value)


def _count(what: str, value: int) -> int:
    if type(value) is not int or value < 1:
        raise InvalidSpec(f"The {what} is {value!r}; expected a whole number of at least 1.")
    return value
