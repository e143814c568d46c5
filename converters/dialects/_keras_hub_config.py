"""The configuration of KerasHub's EfficientNetImageClassifier, which names settings in place of layers.

Source: keras_hub/src/models/image_classifier.py, efficientnet/efficientnet_backbone.py, 0.32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from converters.dialects.keras_applications import LAYERS

_CLASSIFIER = "EfficientNetImageClassifier"
_POOLING = {"avg": "GlobalAveragePooling2D", "max": "GlobalMaxPooling2D"}


def with_layers_behind(entry: object) -> object:
    """Such a configuration as one of layers, those behind the backbone's last norm; any other as it is."""
    if not isinstance(entry, dict) or cast("Mapping[str, Any]", entry).get("class_name") != _CLASSIFIER:
        return cast("object", entry)
    config = _fields(cast("Mapping[str, Any]", entry).get("config"))
    backbone = _fields(_fields(config.get("backbone")).get("config"))
    pooling = str(config.get("pooling"))
    inside = [
        _layer("BatchNormalization", LAYERS["head.norm"]),
        _layer("Activation", "top_activation", activation=_function(backbone.get("activation"))),
    ]
    layers = [
        _layer("Sequential", str(backbone.get("name")), layers=inside),
        _layer(_POOLING.get(pooling, f"the pooling {pooling[:40]!a}"), "pooler"),
        _layer("Dropout", "output_dropout", rate=config.get("dropout")),
        _layer("Dense", LAYERS["classifier"], activation=_function(config.get("activation"))),
    ]
    return _layer("Sequential", str(config.get("name")), layers=layers)


def _layer(kind: str, name: str, **settings: object) -> dict[str, object]:
    return {"class_name": kind, "config": {"name": name, **settings}}


def _function(value: object) -> object:
    """The name of a function, which Keras writes as an object where it was given as one."""
    fields = _fields(value)
    return fields.get("config") if fields.get("class_name") == "function" else value


def _fields(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
