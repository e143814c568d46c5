"""How the images of each published training were prepared. Every number stands here once.

Sources: tensorflow/tpu models/official/efficientnet/main.py, preprocessing.py and eval_ckpt_main.py; google/automl
efficientnetv2/datasets.py and preprocessing.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from effnet_core.preprocessing import CentreCrop, Crop, JpegDecoding, Offset, Resampling, WholeImage


class Recipe(NamedTuple):
    """How the images of a training were decoded, cropped, resized and normalised for its evaluation.

    x = (pixel - mean) / scale with pixels in 0..255.
    """

    mean: tuple[float, float, float]
    scale: tuple[float, float, float]
    resampling: Resampling = Resampling.LEGACY_BICUBIC
    crop: Crop = CentreCrop(padding=32, offset=Offset.CEILING)
    jpeg: JpegDecoding = JpegDecoding.FAST
    uncropped_from: int | None = None
    """Resolution in pixels from which on nothing is cropped."""
    resolution: int | None = None
    """Side of the square input in pixels where it is not the variant's own."""
    num_classes: int | None = None
    """Where they are not those of the family."""


_IMAGENET = Recipe(
    mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
    scale=(0.229 * 255, 0.224 * 255, 0.225 * 255),
)
_MOBILE = Recipe(mean=(127.0, 127.0, 127.0), scale=(128.0, 128.0, 128.0), resampling=Resampling.LEGACY_BILINEAR)
_V2_CROP = CentreCrop(padding=32, offset=Offset.FLOOR)

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "baseline": _IMAGENET,
        "autoaugment": _IMAGENET,
        "randaugment": _IMAGENET,
        "noisy-student": _IMAGENET,
        "advprop": Recipe(mean=(127.5, 127.5, 127.5), scale=(127.5, 127.5, 127.5)),
        "lite": _MOBILE,
        "edgetpu": _MOBILE,
        "condconv": Recipe(mean=_MOBILE.mean, scale=_MOBILE.scale),
        "v2-small": _IMAGENET,
        "v2": Recipe(
            mean=(128.0, 128.0, 128.0),
            scale=(128.0, 128.0, 128.0),
            crop=_V2_CROP,
            resampling=Resampling.HALF_PIXEL_BILINEAR,
            uncropped_from=320,
        ),
        "v2-21k": Recipe(
            mean=(128.0, 128.0, 128.0),
            scale=(128.0, 128.0, 128.0),
            crop=_V2_CROP,
            resampling=Resampling.HALF_PIXEL_BILINEAR,
            uncropped_from=320,
            resolution=224,
            num_classes=21843,
        ),
        "v2-21k-ft1k": Recipe(
            mean=(127.5, 127.5, 127.5),
            scale=(127.5, 127.5, 127.5),
            crop=WholeImage(),
            resampling=Resampling.HALF_PIXEL_BILINEAR,
        ),
    }
)
