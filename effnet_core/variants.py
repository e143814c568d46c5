"""The published tables: stages and coefficients. Every number of a variant stands here once.

Sources: Tan and Le, EfficientNet (2019), table 1 and section 4; EfficientNetV2 (2021), tables 4 and 6. The code of
tensorflow/tpu models/official/efficientnet (efficientnet_builder.py, lite/efficientnet_lite_builder.py,
edgetpu/efficientnet_edgetpu_builder.py, condconv/efficientnet_condconv_builder.py, main.py, preprocessing.py) and of
google/automl efficientnetv2 (effnetv2_configs.py, datasets.py, preprocessing.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from effnet_core.heads import Activation
from effnet_core.spec import Family, Norm, Rounding


class Kind(StrEnum):
    """Kinds of blocks; `effnet_core.spec` explains them."""

    MBCONV = "mbconv"
    FUSED = "fused"
    COND = "cond"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A row of a table: blocks of one kind before width and depth are scaled."""

    repeats: int
    kernel_size: int
    stride: int
    expansion: int
    in_channels: int
    out_channels: int
    kind: Kind = Kind.MBCONV
    skips: bool = True
    """False: no block of the stage has a residual."""


class FamilyTable(NamedTuple):
    """What the variants of a family share."""

    scales_ends: bool
    """False: stem and head keep their width, and the first and the last stage their number of blocks."""
    squeeze_ratio: float | None
    """Of every block that is not fused."""
    activation: Activation
    rounding: Rounding
    norm: Norm
    num_classes: int = 1000
    label_offset: int = 0
    """Classes before the first ImageNet label: 1 where class 0 is the background."""
    head_channels: int = 1280
    drop_connect_rate: float = 0.2

    def label_offset_of(self, num_classes: int) -> int:
        """Only a classifier with the family's own number of classes is known to begin with the background."""
        return self.label_offset if num_classes == self.num_classes else 0


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A published network: width and depth coefficients, input side in pixels, dropout rate."""

    family: Family
    stages: tuple[Stage, ...]
    stem_channels: int
    width: float
    depth: float
    resolution: int
    dropout_rate: float
    recipes: tuple[str, ...]
    """Names of the recipes of its published checkpoints; the first is assumed when a file does not say."""
    num_experts: int | None = None
    """Of its CondConv blocks."""


def _stages(kind: Kind, *rows: tuple[int, int, int, int, int, int], skips: bool = True) -> tuple[Stage, ...]:
    return tuple(
        Stage(repeats=n, kernel_size=k, stride=s, expansion=e, in_channels=i, out_channels=o, kind=kind, skips=skips)
        for n, k, s, e, i, o in rows
    )


# repeats, kernel, stride, expansion, in, out
_V1_FIRST = _stages(
    Kind.MBCONV,
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
)
_V1_LAST = ((3, 5, 1, 6, 80, 112), (4, 5, 2, 6, 112, 192), (1, 3, 1, 6, 192, 320))
_V1 = _V1_FIRST + _stages(Kind.MBCONV, *_V1_LAST)
_CONDCONV = _V1_FIRST + _stages(Kind.COND, *_V1_LAST)
_EDGETPU = (
    *_stages(Kind.FUSED, (1, 3, 1, 4, 24, 24), skips=False),
    *_stages(Kind.FUSED, (2, 3, 2, 8, 24, 32), (4, 3, 2, 8, 32, 48)),
    *_stages(Kind.MBCONV, (5, 5, 2, 8, 48, 96), (4, 5, 1, 8, 96, 144), (2, 5, 2, 8, 144, 192)),
)
_V2_B = (
    *_stages(Kind.FUSED, (1, 3, 1, 1, 32, 16), (2, 3, 2, 4, 16, 32), (2, 3, 2, 4, 32, 48)),
    *_stages(Kind.MBCONV, (3, 3, 2, 4, 48, 96), (5, 3, 1, 6, 96, 112), (8, 3, 2, 6, 112, 192)),
)
_V2_S = (
    *_stages(Kind.FUSED, (2, 3, 1, 1, 24, 24), (4, 3, 2, 4, 24, 48), (4, 3, 2, 4, 48, 64)),
    *_stages(Kind.MBCONV, (6, 3, 2, 4, 64, 128), (9, 3, 1, 6, 128, 160), (15, 3, 2, 6, 160, 256)),
)
_V2_M = (
    *_stages(Kind.FUSED, (3, 3, 1, 1, 24, 24), (5, 3, 2, 4, 24, 48), (5, 3, 2, 4, 48, 80)),
    *_stages(Kind.MBCONV, (7, 3, 2, 4, 80, 160), (14, 3, 1, 6, 160, 176)),
    *_stages(Kind.MBCONV, (18, 3, 2, 6, 176, 304), (5, 3, 1, 6, 304, 512)),
)
_V2_L = (
    *_stages(Kind.FUSED, (4, 3, 1, 1, 32, 32), (7, 3, 2, 4, 32, 64), (7, 3, 2, 4, 64, 96)),
    *_stages(Kind.MBCONV, (10, 3, 2, 4, 96, 192), (19, 3, 1, 6, 192, 224)),
    *_stages(Kind.MBCONV, (25, 3, 2, 6, 224, 384), (7, 3, 1, 6, 384, 640)),
)
_V2_XL = (
    *_stages(Kind.FUSED, (4, 3, 1, 1, 32, 32), (8, 3, 2, 4, 32, 64), (8, 3, 2, 4, 64, 96)),
    *_stages(Kind.MBCONV, (16, 3, 2, 4, 96, 192), (24, 3, 1, 6, 192, 256)),
    *_stages(Kind.MBCONV, (32, 3, 2, 6, 256, 512), (8, 3, 1, 6, 512, 640)),
)

_V1_TABLE = FamilyTable(
    scales_ends=True,
    squeeze_ratio=0.25,
    activation=Activation.SWISH,
    rounding=Rounding.GUARDED,
    norm=Norm(epsilon=1e-3, decay=0.99),
)
FAMILIES: Mapping[Family, FamilyTable] = MappingProxyType(
    {
        Family.V1: _V1_TABLE,
        Family.LITE: FamilyTable(
            scales_ends=False,
            squeeze_ratio=None,
            activation=Activation.RELU6,
            rounding=Rounding.GUARDED,
            norm=_V1_TABLE.norm,
        ),
        Family.EDGETPU: FamilyTable(
            scales_ends=True,
            squeeze_ratio=None,
            activation=Activation.RELU,
            rounding=Rounding.GUARDED,
            norm=_V1_TABLE.norm,
            num_classes=1001,
            label_offset=1,
        ),
        Family.CONDCONV: _V1_TABLE,
        Family.V2: FamilyTable(
            scales_ends=True,
            squeeze_ratio=0.25,
            activation=Activation.SWISH,
            rounding=Rounding.NEAREST,
            norm=Norm(epsilon=1e-3, decay=0.9),
        ),
    }
)

_V2_RECIPES = ("v2-21k-ft1k", "v2-21k")


_Row = tuple[str, float, float, int, float]


def _scaled(
    family: Family, stages: tuple[Stage, ...], recipes: tuple[str, ...], *rows: _Row, prefix: str = "efficientnet-"
) -> dict[str, Variant]:
    """Variants of one table of stages: name, width, depth, resolution, dropout."""
    return {
        prefix + name: Variant(
            family=family,
            stages=stages,
            stem_channels=stages[0].in_channels if family is Family.V2 else 32,
            width=width,
            depth=depth,
            resolution=resolution,
            dropout_rate=dropout_rate,
            recipes=recipes,
        )
        for name, width, depth, resolution, dropout_rate in rows
    }


def _condconv(*rows: tuple[str, float, int]) -> dict[str, Variant]:
    """B0 with experts in its last stages: name, depth, experts."""
    return {
        f"efficientnet-condconv-{name}": Variant(
            family=Family.CONDCONV,
            stages=_CONDCONV,
            stem_channels=32,
            width=1.0,
            depth=depth,
            resolution=224,
            dropout_rate=0.25,
            recipes=("condconv",),
            num_experts=experts,
        )
        for name, depth, experts in rows
    }


_V2_OWN = ("v2", *_V2_RECIPES)

VARIANTS: Mapping[str, Variant] = MappingProxyType(
    _scaled(
        Family.V1,
        _V1,
        ("autoaugment", "baseline", "randaugment", "noisy-student", "advprop"),
        ("b0", 1.0, 1.0, 224, 0.2),
        ("b1", 1.0, 1.1, 240, 0.2),
        ("b2", 1.1, 1.2, 260, 0.3),
        ("b3", 1.2, 1.4, 300, 0.3),
        ("b4", 1.4, 1.8, 380, 0.4),
        ("b5", 1.6, 2.2, 456, 0.4),
        ("b6", 1.8, 2.6, 528, 0.5),
        ("b7", 2.0, 3.1, 600, 0.5),
        ("b8", 2.2, 3.6, 672, 0.5),
        ("l2", 4.3, 5.3, 800, 0.5),
    )
    | _scaled(
        Family.LITE,
        _V1,
        ("lite",),
        ("lite0", 1.0, 1.0, 224, 0.2),
        ("lite1", 1.0, 1.1, 240, 0.2),
        ("lite2", 1.1, 1.2, 260, 0.3),
        ("lite3", 1.2, 1.4, 280, 0.3),
        ("lite4", 1.4, 1.8, 300, 0.3),
    )
    | _scaled(
        Family.EDGETPU,
        _EDGETPU,
        ("edgetpu",),
        ("S", 1.0, 1.0, 224, 0.2),
        ("M", 1.0, 1.1, 240, 0.2),
        ("L", 1.2, 1.4, 300, 0.3),
        prefix="efficientnet-edgetpu-",
    )
    | _condconv(("b0-4e", 1.0, 4), ("b0-8e", 1.0, 8), ("b0-8e-depth", 1.1, 8))
    | _scaled(
        Family.V2,
        _V2_B,
        ("v2-small", *_V2_RECIPES),
        ("b0", 1.0, 1.0, 224, 0.2),
        ("b1", 1.0, 1.1, 240, 0.2),
        ("b2", 1.1, 1.2, 260, 0.3),
        ("b3", 1.2, 1.4, 300, 0.3),
        prefix="efficientnetv2-",
    )
    | _scaled(Family.V2, _V2_S, _V2_OWN, ("s", 1.0, 1.0, 384, 0.2), prefix="efficientnetv2-")
    | _scaled(Family.V2, _V2_M, _V2_OWN, ("m", 1.0, 1.0, 480, 0.3), prefix="efficientnetv2-")
    | _scaled(Family.V2, _V2_L, _V2_OWN, ("l", 1.0, 1.0, 480, 0.4), prefix="efficientnetv2-")
    | _scaled(Family.V2, _V2_XL, _V2_RECIPES, ("xl", 1.0, 1.0, 512, 0.4), prefix="efficientnetv2-")
)
