"""What timm's `config.json` says about the network beside it: what it was made with, how images are evaluated.

Source: timm 1.0.31, models/_hub.py (the file), data/config.py and data/transforms_factory.py (what its fields do).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import floor

from converters.dialects._json_fields import Fields, as_fields, fields_of, number, side, three_numbers, whole_numbers
from converters.dialects._timm_names import statement
from converters.dialects._timm_options import with_options
from converters.dialects.dialect import Configured, PixelRange
from effnet_core import JpegDecoding, NetworkSpec, Preprocessing, Resampling, ShorterSide, WholeImage

_RESAMPLING = {
    "bicubic": Resampling.PILLOW_BICUBIC,
    "bilinear": Resampling.PILLOW_BILINEAR,
    "nearest": Resampling.PILLOW_NEAREST,
}
_SMALLEST_SHARE = 0.01
"""Of an image that a central crop keeps; the published networks keep 0.875 and more."""


def configured(spec: NetworkSpec, texts: Mapping[str, str]) -> Configured:
    """The network with the options and preprocessing that timm's texts say; images are evaluated at `test_` sizes."""
    notes: tuple[str, ...] = ()
    refusal = None
    said = statement(texts)
    if said is not None and said.variant is not None:
        spec, notes, refusal = with_options(spec, said)
        if said.variant != spec.name:
            notes += (
                f"{said.where[:1].upper()}{said.where[1:]} says {said.name[:80]!r}; the tensors say {spec.name}.",
            )
    elif said is not None:
        notes = (f"{said.where[:1].upper()}{said.where[1:]} says {said.name[:80]!r}, which is none of timm's names.",)
    document = fields_of(texts.get("config.json"))
    if document is None or "efficientnet" not in str(document.get("architecture")):
        return Configured(spec=spec, notes=notes, refusal=refusal)
    fields = as_fields(document.get("pretrained_cfg")) or document
    spec = replace(spec, preprocessing=_sized(spec.preprocessing, fields))
    return Configured(spec=spec, pixels=_pixels(fields), notes=notes, refusal=refusal)


def _sized(rule: Preprocessing, fields: Fields) -> Preprocessing:
    """With size, crop and resampling as timm's own transforms do them; the given rule where too little is said."""
    share = number(fields.get("test_crop_pct")) or number(fields.get("crop_pct"))
    resampling = _RESAMPLING.get(str(fields.get("interpolation")))
    match whole_numbers(fields.get("test_input_size")) or whole_numbers(fields.get("input_size")):
        case [_, height, width] if height == width and side(height):
            rule = replace(rule, resolution=height)
        case _:
            return rule
    if resampling is None or share is None or not _SMALLEST_SHARE <= share <= 1:
        return rule
    rule = replace(rule, resampling=resampling, jpeg=JpegDecoding.ACCURATE)
    if fields.get("crop_mode", "center") == "center":
        return replace(rule, crop=ShorterSide(side=floor(rule.resolution / share)))
    return replace(rule, crop=WholeImage()) if fields.get("crop_mode") == "squash" and share == 1 else rule


def _pixels(fields: Fields) -> PixelRange | None:
    mean, deviation = three_numbers(fields.get("mean")), three_numbers(fields.get("std"), above=0.0)
    if mean is None or deviation is None:
        return None
    red, green, blue = (255 * value for value in mean)
    scale_red, scale_green, scale_blue = (255 * value for value in deviation)
    found = PixelRange(mean=(red, green, blue), scale=(scale_red, scale_green, scale_blue))
    return found if found.is_sensible else None
