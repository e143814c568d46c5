"""The `config.json` that timm reads beside the weights in a folder: `timm.create_model("local-dir:FOLDER")`.

Source: timm 1.0.31, models/_hub.py (`_parse_model_cfg`, `save_config_for_hf`) and models/_builder.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from math import floor
from typing import Any

from converters.dialects._timm_names import name_of
from effnet_core import (
    CentreCrop,
    NetworkSpec,
    Pooling,
    Preprocessing,
    Resampling,
    ShorterSide,
    resolve,
)

_INTERPOLATION = {
    Resampling.LEGACY_BICUBIC: "bicubic",
    Resampling.HALF_PIXEL_BICUBIC: "bicubic",
    Resampling.PILLOW_BICUBIC: "bicubic",
    Resampling.LEGACY_BILINEAR: "bilinear",
    Resampling.HALF_PIXEL_BILINEAR: "bilinear",
    Resampling.PILLOW_BILINEAR: "bilinear",
    Resampling.PILLOW_NEAREST: "nearest",
}
"""Pillow's, which timm uses, or the nearest to TensorFlow's."""


def companions(spec: NetworkSpec, *, is_tf: bool) -> Mapping[str, str]:
    """The file by its name; none where timm has no name for the network: another width, depth or end.

    `is_tf` chooses among its two kinds of models.
    """
    name = name_of(spec.name, is_tf=is_tf)
    if name is None or spec.head is None or not _is_usual(spec):
        return {}
    return {"config.json": json.dumps(_document(spec, name), indent=2) + "\n"}


def _is_usual(spec: NetworkSpec) -> bool:
    """Whether the network is the variant of its name, but for what timm's functions are told."""
    usual = resolve(spec.name, in_channels=spec.stem.in_channels)
    return _body(usual) == _body(spec) and (spec.classifier is None or not spec.classifier.hidden)


def _body(spec: NetworkSpec) -> tuple[object, ...]:
    """Everything between image and pooling that a name stands for; rates of the training are no part of it."""
    return spec.stem, spec.head, tuple(replace(block, drop_connect_rate=0.0) for block in spec.blocks)


def _document(spec: NetworkSpec, name: str) -> dict[str, Any]:
    head, classifier = spec.head, spec.classifier
    arguments: dict[str, Any] = {} if spec.stem.in_channels == 3 else {"in_chans": spec.stem.in_channels}
    if classifier is not None and classifier.pooling is Pooling.MAX:
        arguments["global_pool"] = "max"
    return {
        "architecture": name,
        "num_classes": 0 if classifier is None else classifier.num_classes,
        "num_features": None if head is None else head.out_channels,
        **({"model_args": arguments} if arguments else {}),
        "pretrained_cfg": {
            "input_size": [spec.stem.in_channels, spec.preprocessing.resolution, spec.preprocessing.resolution],
            **_of_images(spec.preprocessing),
            "first_conv": "conv_stem",
            "classifier": "classifier",
        },
    }


def _of_images(rule: Preprocessing) -> dict[str, Any]:
    """Crop, resampling and normalisation (of pixels in 0..1) in timm's words."""
    match rule.crop:
        case CentreCrop(padding=padding):
            share, mode = _share(rule.resolution, rule.resolution + padding), "center"
        case ShorterSide(side=side):
            share, mode = _share(rule.resolution, side), "center"
        case _:
            share, mode = 1.0, "squash"
    return {
        "interpolation": _INTERPOLATION[rule.resampling],
        "crop_pct": share,
        "crop_mode": mode,
        "mean": [value / 255 for value in rule.mean],
        "std": [value / 255 for value in rule.scale],
    }


def _share(resolution: int, side: int) -> float:
    """The share from which timm computes that shorter side: it rounds down, floating-point errors included."""
    share = resolution / side
    return share if floor(resolution / share) == side else resolution / (side + 0.5)
