"""The configurations of KerasHub's EfficientNetImageClassifier and EfficientNetBackbone: settings in place of layers.

Source: keras_hub/src/models/image_classifier.py, efficientnet/efficientnet_backbone.py, 0.32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from converters.dialects.keras_applications import LAYERS

_CLASSIFIER, _BACKBONE = "EfficientNetImageClassifier", "EfficientNetBackbone"
_POOLING = {"avg": "GlobalAveragePooling2D", "max": "GlobalMaxPooling2D"}


BY_SETTINGS = "by_settings"
"""Set in the layer that stands before those that settings tell."""


def with_layers(entry: object) -> object:
    """Such a configuration as one of layers, those of which the settings tell; any other as it is."""
    kind = cast("Mapping[str, Any]", entry).get("class_name") if isinstance(entry, dict) else None
    if kind not in (_CLASSIFIER, _BACKBONE):
        return cast("object", entry)
    config = _fields(cast("Mapping[str, Any]", entry).get("config"))
    if kind == _BACKBONE:
        return _network_of(config)
    pooling = str(config.get("pooling"))
    layers = [
        _network_of(_fields(_fields(config.get("backbone")).get("config"))),
        _layer(_POOLING.get(pooling, f"the pooling {pooling[:40]!a}"), "pooler"),
        _layer("Dropout", "output_dropout", rate=config.get("dropout")),
        _layer("Dense", LAYERS["classifier"], activation=_function(config.get("activation"))),
    ]
    return _layer("Sequential", str(config.get("name")), layers=layers)


def _network_of(backbone: Mapping[str, Any]) -> dict[str, object]:
    """The layers of which the settings tell: those with strides, the last norm and activation as all others are."""
    strides: object = backbone.get("stackwise_strides")
    listed = cast("list[object]", strides) if isinstance(strides, list) else []
    size: object = backbone.get("input_shape")
    shape = [None, *cast("list[object]", size)] if isinstance(size, list) else None
    inside = [_layer("InputLayer", "images", batch_shape=shape, **{BY_SETTINGS: True})]
    if backbone.get("include_stem_padding", True):
        inside.append(_layer("ZeroPadding2D", "stem_conv_pad", padding=1))
    stem = backbone.get("stem_conv_padding", "valid")
    inside.append(_layer("Conv2D", LAYERS["stem.conv"], strides=2, padding=stem))
    inside += [
        _layer("DepthwiseConv2D", f"block{number}a_dwconv", strides=stride)
        for number, stride in enumerate(listed, start=1)
    ]
    if backbone.get("projection_activation") is not None:
        inside += [
            _layer("BatchNormalization", "block1a_project_bn"),
            _layer("Activation", "block1a_projection", activation=_function(backbone["projection_activation"])),
        ]
    epsilon = {"epsilon": backbone["batch_norm_epsilon"]} if "batch_norm_epsilon" in backbone else {}
    inside += [
        _layer("BatchNormalization", LAYERS["head.norm"], **epsilon),
        _layer("Activation", "top_activation", activation=_function(backbone.get("activation"))),
    ]
    return _layer("Sequential", str(backbone.get("name")), layers=inside)


def _layer(kind: str, name: str, **settings: object) -> dict[str, object]:
    return {"class_name": kind, "config": {"name": name, **settings}}


def _function(value: object) -> object:
    """The name of a function, which Keras writes as an object where it was given as one."""
    fields = _fields(value)
    return fields.get("config") if fields.get("class_name") == "function" else value


def _fields(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
