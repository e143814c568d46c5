"""Which of the published trainings a name of timm means, and how timm itself prepares images for its weights.

Source: timm 1.0.31, models/efficientnet.py (`default_cfgs`, and which of the weights a name without a tag means).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple

from converters.dialects._timm_names import TF, VARIANT_OF
from effnet_core import VARIANTS, Family

_BY_TRAINING = MappingProxyType(
    {"ap": "advprop", "ns": "noisy-student", "aa": "autoaugment", "ra": "randaugment", "in1k": "baseline"}
)
"""How a tag of the first series begins, to the recipe."""
_BY_DATA = MappingProxyType({"in21k": "v2-21k", "in21k_ft_in1k": "v2-21k-ft1k"})
"""Tags of the second series; `in1k` alone stands for the recipe of the variant's own that comes first."""
_RESOLUTIONS = MappingProxyType(
    {"tf_efficientnet_lite3": 300, "tf_efficientnet_lite4": 380, "tf_efficientnet_cc_b1_8e": 240}
)
"""In pixels, where timm takes others than the official code."""
_SMALL_L2 = 475
_SHARES = MappingProxyType(
    {
        224: 0.875,
        240: 0.882,
        260: 0.89,
        300: 0.904,
        380: 0.922,
        456: 0.934,
        475: 0.936,
        528: 0.942,
        600: 0.949,
        672: 0.954,
        800: 0.96,
    }
)
"""Of the shorter side, by the resolution in pixels."""
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_USUAL = MappingProxyType(
    {
        "tf_efficientnet_b8": "ap_in1k",
        "tf_efficientnet_l2": "ns_jft_in1k_475",
        "tf_efficientnetv2_b3": "in21k_ft_in1k",
        "efficientnet_b1": "ra4_e3600_r240_in1k",
    }
)
"""What a name without a tag means, where that is another normalisation or size than the model's others have."""
_SMALL_V2 = "tf_efficientnetv2_b"


class Evaluated(NamedTuple):
    """How timm itself prepares images, by the names and in the units of its configurations."""

    resolution: int
    crop_pct: float
    crop_mode: str
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __str__(self) -> str:
        """For people: what timm's own configuration would say."""
        return (
            f"{self.resolution} pixels, crop_pct={self.crop_pct:g}, crop_mode={self.crop_mode!r}, "
            f"interpolation={self.interpolation!r}, mean={self.mean}, std={self.std}"
        )


def recipe_of(model: str, tag: str) -> str | None:
    """The recipe of the weights with that tag; None where the tag or the model is none of those."""
    variant = VARIANTS[VARIANT_OF[model]]
    if not model.startswith(TF) or not tag:
        return None
    if variant.family is Family.V1:
        recipe = _BY_TRAINING.get(tag.partition("_")[0])
    else:
        recipe = variant.recipes[0] if tag == "in1k" else _BY_DATA.get(tag)
    return recipe if recipe in variant.recipes else None


def resolution_of(model: str, tag: str) -> int | None:
    """In pixels, where the weights were evaluated at another one than that of the model."""
    return _SMALL_L2 if model.startswith(TF) and tag.endswith(f"_{_SMALL_L2}") else None


def is_halved(model: str, tag: str) -> bool:
    """Whether timm normalises images for these weights by 0.5 and 0.5, and not by the numbers of ImageNet.

    An empty tag stands for the weights that timm itself takes.
    """
    tag = tag or _USUAL.get(model, "")
    if not model.startswith(TF):
        return tag.startswith("ra4_e3600_")
    if model.startswith(_SMALL_V2):
        return tag.startswith("in21k")
    variant = VARIANTS[VARIANT_OF[model]]
    return variant.family is not Family.V1 or tag.startswith("ap_")


def evaluated(model: str, tag: str) -> Evaluated | None:
    """How timm prepares images for the weights with that tag, or, where it is empty, for those that it takes itself.

    None for models without tf_, of which this says nothing but `is_halved`.
    """
    if not model.startswith(TF):
        return None
    tag = tag or _USUAL.get(model, "")
    variant = VARIANTS[VARIANT_OF[model]]
    resolution = resolution_of(model, tag) or _RESOLUTIONS.get(model, variant.resolution)
    share, mode = _SHARES.get(resolution, 1.0), "center"
    if variant.family is Family.V2 and not model.startswith(_SMALL_V2):
        share, mode = 1.0, "center" if model.endswith("_s") else "squash"
    elif model.startswith(_SMALL_V2) and tag == "in21k_ft_in1k":
        share, mode = 0.9, "squash"
    elif model == "tf_efficientnet_lite4":
        share = 0.92
    mean, std = _HALF if is_halved(model, tag) else _IMAGENET
    return Evaluated(
        resolution=resolution,
        crop_pct=share,
        crop_mode=mode,
        interpolation="bilinear" if model in ("tf_efficientnet_lite3", "tf_efficientnet_lite4") else "bicubic",
        mean=mean,
        std=std,
    )
