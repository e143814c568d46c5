"""What `config.json` and `preprocessor_config.json` of transformers say about the network beside them.

Widths, repeats and classes follow from the weights themselves. What these do not tell is here: the pooling and the
epsilon (in `_huggingface_options`), the size of the input and how its pixels are normalised. Sources as in
`_huggingface_config`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from converters.dialects._huggingface_config import RESAMPLE, depthwise_padding
from converters.dialects._huggingface_options import WAY_OUT, with_options
from converters.dialects.dialect import Configured, PixelRange
from converters.dialects.json_fields import (
    Fields,
    as_fields,
    fields_of,
    flag,
    number,
    side,
    three_numbers,
    whole_numbers,
)
from effnet_core import JpegDecoding, NetworkSpec, WholeImage

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of transformers' EfficientNetImageProcessor where its file names none."""
_RESAMPLING = {filter_number: resampling for resampling, filter_number in RESAMPLE.items()}


def configured(spec: NetworkSpec, texts: Mapping[str, str]) -> Configured:
    """The network with what transformers' files, by name, say of it."""
    config = fields_of(texts.get("config.json"))
    notes: list[str] = []
    refusal = None
    if config is not None and config.get("model_type") == "efficientnet":
        spec, more, refusal = with_options(spec, config)
        notes += more
        spec, more = _with_config(spec, config)
        notes += more
    else:
        config = None
    prepared = fields_of(texts.get("preprocessor_config.json"))
    pixels = None
    if prepared is not None and str(prepared.get("image_processor_type")).startswith("EfficientNet"):
        spec, pixels = _with_size(spec, prepared), _pixels(prepared)
        if pixels is not None and flag(prepared.get("include_top"), default=True):
            notes.append("preprocessor_config.json divides pixels twice by its image_std (include_top): both are one.")
    if config is not None:
        notes += _padding_notes(spec, config)
    return Configured(spec=spec, pixels=pixels, notes=tuple(notes), refusal=refusal, way_out=WAY_OUT if refusal else "")


def _with_config(spec: NetworkSpec, config: Fields) -> tuple[NetworkSpec, tuple[str, ...]]:
    """With the size of its input and its dropout, and a note where the size makes no sense."""
    given, notes = config.get("image_size"), tuple[str, ...]()
    resolution = _square(given)
    if resolution is not None:
        spec = replace(spec, preprocessing=replace(spec.preprocessing, resolution=resolution))
    elif given is not None:
        notes = (
            f"config.json has the image_size {given!r:.60}, where the side of a square image was expected, in pixels; "
            "it was not looked at.",
        )
    rate = number(config.get("dropout_rate"), above=-1.0)
    if spec.classifier is not None and rate is not None and 0 <= rate < 1:
        spec = replace(spec, classifier=replace(spec.classifier, dropout_rate=rate))
    return spec, notes


def _square(size: object) -> int | None:
    """The side of a square in pixels, given as a number or as height and width."""
    match cast("list[object]", size) if isinstance(size, list) else [size, size]:
        case [height, width] if height == width:
            return side(height)
        case _:
            return None


def _with_size(spec: NetworkSpec, prepared: Fields) -> NetworkSpec:
    """With the size to which the whole image is squeezed; a crop that follows it has no counterpart here."""
    rule = spec.preprocessing
    size = as_fields(prepared.get("size")) or {}
    height, width = side(size.get("height")), side(size.get("width"))
    if height is None or height != width or flag(prepared.get("do_center_crop"), default=False):
        return spec
    resample = prepared.get("resample")
    rule = replace(rule, resolution=height, crop=WholeImage())
    if type(resample) is not int or resample not in _RESAMPLING:
        return replace(spec, preprocessing=rule)
    rule = replace(rule, resampling=_RESAMPLING[resample], jpeg=JpegDecoding.ACCURATE)
    return replace(spec, preprocessing=rule)


def _pixels(prepared: Fields) -> PixelRange | None:
    """The normalisation of pixels in 0..255 that its steps amount to: times a factor, minus an offset, minus the mean,
    over the deviation, and for classifiers over the deviation once more.
    """
    factor: float | None = 1.0
    offset = 0.0
    if flag(prepared.get("do_rescale"), default=True):
        factor = number(prepared.get("rescale_factor", 1 / 255))
        offset = float(flag(prepared.get("rescale_offset"), default=False))
    mean: tuple[float, float, float] | None = (0.0, 0.0, 0.0)
    deviation: tuple[float, float, float] | None = (1.0, 1.0, 1.0)
    given = three_numbers(prepared.get("image_std", list(_IMAGENET[1])), above=0.0)
    if flag(prepared.get("do_normalize"), default=True):
        mean, deviation = three_numbers(prepared.get("image_mean", list(_IMAGENET[0]))), given
    if factor is None or mean is None or deviation is None or given is None:
        return None
    if flag(prepared.get("include_top"), default=True):
        red, green, blue = (one * other for one, other in zip(deviation, given, strict=True))
        deviation = red, green, blue
    red, green, blue = ((one + offset) / factor for one in mean)
    scale_red, scale_green, scale_blue = (one / factor for one in deviation)
    found = PixelRange(mean=(red, green, blue), scale=(scale_red, scale_green, scale_blue))
    return found if found.is_sensible else None


def _padding_notes(spec: NetworkSpec, config: Fields) -> list[str]:
    given = config.get("depthwise_padding")
    padded = [] if given is None else whole_numbers(given)
    resolution = _square(config.get("image_size")) or spec.preprocessing.resolution
    expected = depthwise_padding(replace(spec, preprocessing=replace(spec.preprocessing, resolution=resolution)))
    if padded is None:
        return [
            f"config.json has the depthwise_padding {given!r:.60}, where a list of blocks was expected; it was not "
            "looked at."
        ]
    if padded == expected and resolution == spec.preprocessing.resolution:
        return []
    if any(index >= len(spec.blocks) for index in padded) or len(padded) > len(spec.blocks):
        return ["config.json has a depthwise_padding that names blocks which are not there; it was not looked at."]
    said = "no depthwise_padding" if given is None else f"the depthwise_padding {padded}"
    return [
        f"config.json has {said}; SAME padding of {spec.preprocessing.resolution} pixels needs "
        f"{depthwise_padding(spec)}. Where they differ, transformers' own model gives other logits than this network."
    ]
