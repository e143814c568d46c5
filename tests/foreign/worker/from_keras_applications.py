"""Networks of keras.applications, by the names of its functions. They normalise inside and take pixels in 0..255.

A narrow one is made by the function that all of them call, which has the coefficients as arguments. `EfficientNetB0
imagenet` and the like are what `weights="imagenet"` makes: V1 networks then divide once more, by the square root of the
standard deviation, which the stored normalisation has in the place of the variance.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path
from typing import Any

# Both are read when keras is imported.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["KERAS_HOME"] = str(Path.cwd() / "keras")

import h5py
import keras
import numpy as np
from keras.src.applications import efficientnet
from keras.src.applications.efficientnet import EfficientNet
from keras.src.applications.efficientnet_v2 import EfficientNetV2
from keras.src.legacy.saving import legacy_h5_format
from keras_model import KerasModel, Shape


class Model(KerasModel):
    def __init__(self, network: dict[str, Any]) -> None:
        super().__init__(network)
        if network["name"].endswith(" imagenet"):  # the numbers in the published files
            self.MEAN, self.VARIANCE = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

    @staticmethod
    def usual_size(network: dict[str, Any]) -> Shape:
        # The only one that B0 takes with weights="imagenet".
        return (224, 224) if network["name"].endswith(" imagenet") else (64, 64)

    @staticmethod
    def build(network: dict[str, Any], size: Shape) -> keras.Model:
        name, width, depth = network["name"], network["width"], network["depth"]
        if name.endswith(" imagenet"):
            return _imagenet(name.split()[0], (*size, 3))
        options = {"weights": None, "classes": network["classes"], "classifier_activation": None}
        options["input_shape"] = (*size, 3)
        if width is None:
            return getattr(keras.applications, name)(**options)
        if name.startswith("EfficientNetV2"):
            series = name.replace("EfficientNetV2", "efficientnetv2-").lower()
            return EfficientNetV2(width, depth, 224, name=series, **options)
        return EfficientNet(width, depth, 224, name=name.lower(), **options)


def _imagenet(name: str, shape: tuple[int | None, ...]) -> keras.Model:
    """With a file of ours in the place where Keras keeps downloads, so that it asks for none."""
    _provide_weights(name)
    return getattr(keras.applications, name)(weights="imagenet", classifier_activation=None, input_shape=shape)


@cache
def _provide_weights(name: str) -> None:
    path = Path(os.environ["KERAS_HOME"]) / "models" / f"{name.lower()}.h5"
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, getattr(keras.applications, name)(weights=None))
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    efficientnet.WEIGHTS_HASHES[name.removeprefix("EfficientNet").lower()] = (digest, "")
