"""What is done to an image before a network sees it: the part of a definition that is about pixels.

`effnet_core.pixel_plan` says what follows from it for an image of a given size.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PIXEL_LIMIT = 100_000_000
"""Larger images are refused before their pixels are decoded, unless the caller says another limit."""


class Resampling(StrEnum):
    """How an image is resized. The taps and their weights are in `effnet_core.taps`."""

    LEGACY_BICUBIC = "legacy-bicubic"
    """TensorFlow 1's: no half pixels, a = -0.75, not smoothed when it shrinks, float32 that may leave 0..255."""
    LEGACY_BILINEAR = "legacy-bilinear"
    """TensorFlow 1's: no half pixels, not smoothed, float32."""
    HALF_PIXEL_BICUBIC = "half-pixel-bicubic"
    """TensorFlow 2's without antialiasing: a = -0.5, not smoothed, float32 that may leave 0..255."""
    HALF_PIXEL_BILINEAR = "half-pixel-bilinear"
    """TensorFlow 2's without antialiasing: not smoothed, float32."""
    PILLOW_BICUBIC = "pillow-bicubic"
    """Pillow's, as timm's and torchvision's transforms use it: a = -0.5, smoothed when it shrinks, columns first, each
    of the two passes rounded to 8 bits."""
    PILLOW_BILINEAR = "pillow-bilinear"
    """Pillow's: smoothed when it shrinks, each pass rounded to 8 bits."""
    PILLOW_NEAREST = "pillow-nearest"
    """Pillow's: the pixel in whose area the centre lies."""


class Offset(StrEnum):
    """Where a crop begins that leaves an odd number of pixels out."""

    CEILING = "ceiling"
    """(length - side + 1) // 2: the V1 code."""
    FLOOR = "floor"
    """(length - side) // 2: the V2 code."""


class JpegDecoding(StrEnum):
    """The inverse cosine transform by which a JPEG is decoded; both smooth the colours when they enlarge them."""

    FAST = "fast"
    """libjpeg's JDCT_IFAST: TensorFlow's default, so the official code's."""
    ACCURATE = "accurate"
    """libjpeg's JDCT_ISLOW: what Pillow, and so everybody on PyTorch, uses."""


@dataclass(frozen=True, kw_only=True)
class CentreCrop:
    """The central square of the image, which is then resized to the network's.

    Its side is resolution / (resolution + padding) times the shorter side of the image, in float32, cut to whole
    pixels.

    Source: tensorflow/tpu models/official/efficientnet/preprocessing.py, _decode_and_center_crop; google/automl
    efficientnetv2/preprocessing.py, preprocess_for_eval.
    """

    padding: int
    """In pixels of the resized image."""
    offset: Offset


@dataclass(frozen=True, kw_only=True)
class WholeImage:
    """No crop: all of the image is squeezed into the square, whatever its shape.

    Source: google/automl efficientnetv2/preprocessing.py, preprocess_for_eval from 320 pixels on and
    preprocess_for_finetune.
    """


@dataclass(frozen=True, kw_only=True)
class ShorterSide:
    """The image is resized so that its shorter side has `side` pixels, and the central square is cut out of it.

    Source: torchvision 0.29, transforms/functional.py, resize and center_crop, as timm 1.0.31 calls them in
    data/transforms_factory.py, transforms_imagenet_eval.
    """

    side: int
    """In pixels, at least the resolution."""


Crop = CentreCrop | WholeImage | ShorterSide


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What a checkpoint expects to have been done to an image: decoded, cropped, resized, and
    x = (pixel - mean) / scale with pixels in 0..255.

    `mean` and `scale` have a number for each of RGB. For images of other channels they have one for each of these, or
    those of RGB, from which they were derived.
    """

    recipe: str
    """Name of the training recipe (`effnet_core.RECIPES`)."""
    resolution: int
    """Side of the square that the network was evaluated at, in pixels."""
    crop: Crop
    resampling: Resampling
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    clips: bool = False
    """Whether resized pixels that leave 0..255, as bicubic ones do, are set to its ends; Pillow's never leave it."""
    jpeg: JpegDecoding = JpegDecoding.FAST


def later_official_crop(resolution: int) -> CentreCrop:
    """The rule that the V1 code has had since November 2021, after its checkpoints were published: 0.875 of the shorter
    side at every resolution (in pixels). Before, and in `RECIPES`, the padding was 32, which is the same at 224.

    Source: tensorflow/tpu models/official/efficientnet/preprocessing.py.
    """
    return CentreCrop(padding=round(resolution * (1 / 0.875 - 1)), offset=Offset.CEILING)
