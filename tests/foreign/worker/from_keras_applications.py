"""Networks of keras.applications, by the names of its functions. They normalise inside and take pixels in 0..255.

A narrow one is made by the function that all of them call, which has the coefficients as arguments.
"""

from __future__ import annotations

import os
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"  # read when keras is imported

import keras
from keras.src.applications.efficientnet import EfficientNet
from keras.src.applications.efficientnet_v2 import EfficientNetV2
from keras_model import KerasModel, Shape


class Model(KerasModel):
    @staticmethod
    def build(network: dict[str, Any], size: Shape) -> keras.Model:
        name, width, depth = network["name"], network["width"], network["depth"]
        options = {"weights": None, "classes": network["classes"], "classifier_activation": None}
        options["input_shape"] = (*size, 3)
        if width is None:
            return getattr(keras.applications, name)(**options)
        if name.startswith("EfficientNetV2"):
            series = name.replace("EfficientNetV2", "efficientnetv2-").lower()
            return EfficientNetV2(width, depth, 224, name=series, **options)
        return EfficientNet(width, depth, 224, name=name.lower(), **options)
