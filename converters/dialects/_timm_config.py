"""What timm's `config.json` says about the network beside it: what it was made with, how images are evaluated; of a
checkpoint of its training program, what `args` say of this.

Source: timm 1.0.31, models/_hub.py (the file), data/config.py and data/transforms_factory.py (what its fields do).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import floor

from converters.dialects._timm_options import with_options
from converters.dialects._timm_prepared import prepared_as_named
from converters.dialects._timm_statements import WAY_OUT, disagreement, statement, told
from converters.dialects.dialect import Configured, PixelRange
from converters.dialects.json_fields import Fields, as_fields, fields_of, number, numbers, side, whole_numbers
from effnet_core import JpegDecoding, NetworkSpec, Preprocessing, Resampling, ShorterSide, WholeImage

_RESAMPLING = {
    "bicubic": Resampling.PILLOW_BICUBIC,
    "bilinear": Resampling.PILLOW_BILINEAR,
    "nearest": Resampling.PILLOW_NEAREST,
}
_RGB = 3
_OF_IMAGES = ("input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std")
"""What timm's training program is given in the words of config.json."""
_SMALLEST_SHARE = 0.01
"""Of an image that a central crop keeps; the published networks keep 0.875 and more."""


def configured(spec: NetworkSpec, texts: Mapping[str, str]) -> Configured:
    """The network with the options and preprocessing that timm's texts say; images are evaluated at `test_` sizes."""
    notes: tuple[str, ...] = ()
    refusal = None
    found = told(texts)
    said = statement(texts, spec.name)
    if said is not None and said.variant is not None:
        spec, notes, refusal = with_options(spec, said)
        if said.variant != spec.name:
            notes += (f"{_sentence(said.where)} says {said.name[:80]!r}; the tensors say {spec.name}.",)
    elif said is not None:
        notes = (f"{_sentence(said.where)} says {said.name[:80]!r}, which is none of timm's names.",)
    elif (two := disagreement(found)) is not None:
        found, notes = (), (two,)
    named = prepared_as_named(spec, found)
    spec = named.spec
    where, fields = _of_images(texts, is_timm=said is not None and said.variant is not None)
    channels = spec.stem.in_channels
    spec, pixels = replace(spec, preprocessing=_sized(spec.preprocessing, fields)), _pixels(fields, channels)
    mean, deviation = fields.get("mean"), fields.get("std")
    if pixels is None and mean is not None and deviation is not None:
        notes += (
            f"{where} says that images were normalised with mean={mean!r:.80} and std={deviation!r:.80}; expected a "
            f"sensible number for each of {channels} channels, or one for all, so that was not taken.",
        )
    way_out = WAY_OUT if refusal else ""
    notes += named.notes
    if pixels is not None:  # which say more than the name of what a training began with
        return Configured(spec=spec, pixels=pixels, notes=notes, refusal=refusal, way_out=way_out)
    return named._replace(spec=spec, notes=notes, refusal=refusal, way_out=way_out)


def _sentence(where: str) -> str:
    return where[:1].upper() + where[1:]


def _of_images(texts: Mapping[str, str], *, is_timm: bool) -> tuple[str, Fields]:
    """What is said of images, in the words of config.json, and where; `is_timm`: the texts name a network of timm."""
    document = fields_of(texts.get("config.json"))
    if document is not None and "efficientnet" in str(document.get("architecture")):
        return "The file config.json", as_fields(document.get("pretrained_cfg")) or document
    args = fields_of(texts.get("args")) or {}
    if not is_timm:
        return "", {}
    found = {word: args[word] for word in _OF_IMAGES if word in args}
    if (size := side(args.get("img_size"))) is not None and not found.get("input_size"):
        found["input_size"] = [0, size, size]
    return "The checkpoint's args", found


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


def _pixels(fields: Fields, channels: int) -> PixelRange | None:
    """The normalisation, of RGB or of each channel that the network takes."""
    for count in (channels, _RGB):
        mean = numbers(fields.get("mean"), count=count)
        deviation = numbers(fields.get("std"), count=count, above=0.0)
        if mean is None or deviation is None or max(map(abs, mean)) > 1:  # of pixels in 0..1 they are
            continue
        found = PixelRange(mean=tuple(255 * value for value in mean), scale=tuple(255 * value for value in deviation))
        return found if found.is_sensible else None
    return None
