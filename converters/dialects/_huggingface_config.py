"""What stands beside the weights in a Hugging Face folder: `config.json` and `preprocessor_config.json`.

Source: transformers 5.23, models/efficientnet/configuration_efficientnet.py, modeling_efficientnet.py and
image_processing_efficientnet.py. The configuration there holds the table before scaling, and the model computes widths,
repeats and padding from it; so does this file, to see whether it would be the network at hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from typing import Any

from converters.dialects.dialect import without_first_residuals
from effnet_core import (
    Activation,
    Classifier,
    EffnetError,
    Family,
    Head,
    MBConv,
    NetworkSpec,
    Pooling,
    Resampling,
    Rounding,
    norm_of,
    resolve,
    round_channels,
)
from effnet_core.variants import VARIANTS

RESAMPLE = {Resampling.PILLOW_NEAREST: 0, Resampling.PILLOW_BILINEAR: 2, Resampling.PILLOW_BICUBIC: 3}
"""Numbers of Pillow's filters."""
_NEAREST = {
    Resampling.LEGACY_BILINEAR: Resampling.PILLOW_BILINEAR,
    Resampling.HALF_PIXEL_BILINEAR: Resampling.PILLOW_BILINEAR,
    Resampling.LEGACY_BICUBIC: Resampling.PILLOW_BICUBIC,
    Resampling.HALF_PIXEL_BICUBIC: Resampling.PILLOW_BICUBIC,
}
"""Pillow's filter that is nearest to TensorFlow's, which transformers has not."""
POOLING = {Pooling.AVERAGE: "mean", Pooling.MAX: "max"}
"""`pooling_type` by our names. The window has as many pixels as the head has channels, so it covers every grid that the
model takes.
"""
_HEAD = 1280


class NoConfig(EffnetError):
    """No configuration of transformers' EfficientNet describes a network."""


def companions(spec: NetworkSpec) -> Mapping[str, str]:
    """The files by name. Raises `NoConfig` where transformers' EfficientNet cannot be this network."""
    return {
        name: json.dumps(document, indent=2) + "\n"
        for name, document in (
            ("config.json", to_config(spec)),
            ("preprocessor_config.json", to_preprocessor_config(spec)),
        )
    }


def to_config(spec: NetworkSpec) -> dict[str, Any]:
    """The fields of EfficientNetConfig for the network, at its own resolution; of EfficientNetModel without classifier.

    Raises `NoConfig` where transformers' model would be another network.
    """
    problems, norm = _problems(spec), norm_of(spec, wanted="an epsilon")
    if problems or spec.head is None:
        raise NoConfig(
            f"transformers' EfficientNet cannot be this {spec.name}: {'; '.join(problems)}. Write another dialect, "
            "such as native or effnet-torch."
        )
    stages = VARIANTS[spec.name].stages
    return {
        "model_type": "efficientnet",
        "num_channels": spec.stem.in_channels,
        "image_size": spec.preprocessing.resolution,
        "width_coefficient": spec.width,
        "depth_coefficient": spec.depth,
        "depth_divisor": 8,
        "kernel_sizes": [stage.kernel_size for stage in stages],
        "in_channels": [stage.in_channels for stage in stages],
        "out_channels": [stage.out_channels for stage in stages],
        "depthwise_padding": depthwise_padding(spec),
        "strides": [stage.stride for stage in stages],
        "num_block_repeats": [stage.repeats for stage in stages],
        "expand_ratios": [stage.expansion for stage in stages],
        "squeeze_expansion_ratio": 0.25,
        "hidden_act": "swish",
        "hidden_dim": spec.head.out_channels,
        "batch_norm_eps": norm.epsilon,
        # Handed to PyTorch as it is, which means the weight of the new statistic by it.
        "batch_norm_momentum": round(1 - norm.decay, 12),
        "drop_connect_rate": _drop_connect_rate(spec),
        "num_hidden_layers": 4 * sum(stage.repeats for stage in stages),
        **_of_classifier(spec.classifier),
    }


def _of_classifier(classifier: Classifier | None) -> dict[str, Any]:
    if classifier is None:
        return {"architectures": ["EfficientNetModel"]}
    labels = range(classifier.num_classes)
    return {
        "architectures": ["EfficientNetForImageClassification"],
        "pooling_type": POOLING[classifier.pooling],
        "dropout_rate": classifier.dropout_rate,
        "id2label": {str(index): f"LABEL_{index}" for index in labels},
        "label2id": {f"LABEL_{index}": index for index in labels},
    }


def to_preprocessor_config(spec: NetworkSpec) -> dict[str, Any]:
    """The fields of EfficientNetImageProcessor: the whole image squeezed into the square, then normalised once.

    The published files normalise twice, by the root of the deviation each time; the result is the same. A crop that
    follows the shape of the image cannot be said there.
    """
    rule = spec.preprocessing
    square = {"height": rule.resolution, "width": rule.resolution}
    return {
        "image_processor_type": "EfficientNetImageProcessor",
        "do_resize": True,
        "size": square,
        "resample": RESAMPLE[_NEAREST.get(rule.resampling, rule.resampling)],
        "do_center_crop": False,
        "crop_size": square,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "rescale_offset": False,
        "do_normalize": True,
        "image_mean": [value / 255 for value in rule.mean],
        "image_std": [value / 255 for value in rule.scale],
        "include_top": False,
    }


def depthwise_padding(spec: NetworkSpec) -> list[int]:
    """The blocks with stride 2 that meet an odd side at the network's resolution: transformers pads them evenly."""
    found: list[int] = []
    size = ceil(spec.preprocessing.resolution / spec.stem.stride)
    for index, block in enumerate(spec.blocks):
        if block.stride == 2 and size % 2:
            found.append(index)
        size = ceil(size / block.stride)
    return found


def _problems(spec: NetworkSpec) -> list[str]:
    """Where transformers' model would not be the network."""
    if spec.family is not Family.V1 or not all(isinstance(block, MBConv) for block in spec.blocks):
        return [f"it knows the family {Family.V1.value} alone"]
    if spec.head is None:
        return ["it has a head behind its blocks, which this network has not"]
    found = _inexpressible(spec, spec.head)
    if found:
        return found
    again = without_first_residuals(
        resolve(
            spec.name,
            width=spec.width,
            depth=spec.depth,
            in_channels=spec.stem.in_channels,
            drop_connect_rate=_drop_connect_rate(spec),
        )
    )
    same_rates = tuple(replace(block, drop_connect_rate=0.0) for block in again.blocks) == tuple(
        replace(block, drop_connect_rate=0.0) for block in spec.blocks
    )
    if not same_rates or (again.stem, again.head) != (spec.stem, spec.head):
        return ["its blocks are not those that it makes of the width and depth coefficients"]
    return []


def _inexpressible(spec: NetworkSpec, head: Head) -> list[str]:
    found: list[str] = []
    if spec.classifier is not None and spec.classifier.hidden:
        found.append("its classifier is one dense layer")
    if spec.preprocessing.resolution % 2:
        found.append(f"its stem is right for even sides alone, not for {spec.preprocessing.resolution} pixels")
    if spec.rounding is not Rounding.GUARDED:
        found.append(f"it rounds channels by the rule {Rounding.GUARDED.value}")
    if spec.stem.activation is not Activation.SWISH:
        found.append(f"its activation is {Activation.SWISH.value}")
    if round_channels(_HEAD, width=spec.width, rounding=Rounding.GUARDED) != head.out_channels:
        found.append(f"its head has {_HEAD} channels times the width coefficient")
    return found


def _drop_connect_rate(spec: NetworkSpec) -> float:
    """The rate that the network would reach after its last block."""
    count = len(spec.blocks)
    return round(spec.blocks[-1].drop_connect_rate * count / (count - 1), 12) if count > 1 else 0.0
