"""What the Keras libraries have in common: lively weights, logits, files.

There is a model for every size and type: keras.applications computes paddings from the size of its input.
"""

from __future__ import annotations

import json
from math import prod, sqrt
from pathlib import Path
from typing import Any, ClassVar

import h5py
import keras
import numpy as np
from keras import layers
from keras.src.legacy.saving import legacy_h5_format

Shape = tuple[int | None, int | None]


class KerasModel:
    """A network of a library; the module of each library says in `build` how it is made."""

    MEAN, VARIANCE = np.array([0.48, 0.46, 0.41]), np.array([0.05, 0.06, 0.07])
    """What a stored normalisation gets."""
    PIXELS: ClassVar[bool] = True
    """Whether the model normalises by itself and takes pixels in 0..255."""
    _models: ClassVar[dict[Any, keras.Model]] = {}

    def __init__(self, network: dict[str, Any]) -> None:
        self.network = network
        self.weights: list[np.ndarray] = []

    @staticmethod
    def build(network: dict[str, Any], size: Shape) -> keras.Model:
        """The library's network, giving logits; `width` and `depth` of a narrow one are coefficients."""
        raise NotImplementedError

    @staticmethod
    def usual_size(network: dict[str, Any]) -> Shape:
        """Of the images that weights are made, saved and loaded with."""
        return (64, 64)

    @classmethod
    def shapes(cls, network: dict[str, Any]) -> dict[str, list[int]]:
        return {weight.path: list(weight.shape) for weight in cls.build(network, cls.usual_size(network)).weights}

    @classmethod
    def images(cls, random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return random.uniform(0, 255, shape) if cls.PIXELS else random.standard_normal(shape)

    def liven(self, seed: int) -> None:
        """As `TorchModel.liven`, with a stored normalisation where the network has one."""
        random = np.random.default_rng(seed)
        model = self.build(self.network, self.usual_size(self.network))
        for layer in model._flatten_layers():
            if isinstance(layer, layers.Dropout):
                layer.rate = 0.0
            if isinstance(layer, layers.Normalization):
                if layer.weights:
                    layer.set_weights([self.MEAN, self.VARIANCE, np.array(0)])
                    layer.finalize_state()
                continue
            if isinstance(layer, layers.BatchNormalization):
                layer.momentum = 0.0
            for weight in layer._trainable_variables:
                weight.assign(_values(weight.path, tuple(weight.shape), random))
        model(self.images(random, (8, *model.input_shape[1:])).astype(np.float32), training=True)
        for layer in model._flatten_layers():
            if isinstance(layer, layers.BatchNormalization):
                layer.moving_variance.assign(layer.moving_variance * 1.1)
        self.weights = model.get_weights()

    def logits(self, images: np.ndarray, dtype: str) -> np.ndarray:
        model = self._built(images.shape[1:3], dtype)
        _set_weights(model, self.weights)
        return keras.ops.convert_to_numpy(model(images.astype(dtype), training=False))

    def save(self, folder: Path) -> dict[str, Path]:
        """Every kind of file that Keras 3 writes, and the weights alone in the layout of Keras 2."""
        model = self._built()
        _set_weights(model, self.weights)
        files = {kind: folder / f"network{kind}" for kind in (".keras", ".weights.h5", ".h5")}
        model.save(files[".keras"])
        model.save_weights(files[".weights.h5"])
        model.save(files[".h5"])
        files["legacy weights"] = folder / "network_legacy_weights.h5"
        with h5py.File(files["legacy weights"], "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, model)
        return files

    def load(self, path: Path) -> None:
        if path.suffix == ".keras":
            self.weights = keras.saving.load_model(path).get_weights()
            return
        model = self._built()
        _set_weights(model, [np.full(weight.shape, -1, dtype=weight.dtype) for weight in model.weights])
        model.load_weights(path)
        self.weights = model.get_weights()

    def _built(self, size: Shape | None = None, dtype: str = "float32") -> keras.Model:
        """A model with any weights; kept, because building takes longer than computing."""
        size = size or self.usual_size(self.network)
        key = (json.dumps(self.network), size, dtype)
        if key not in self._models:
            keras.config.set_dtype_policy(dtype)
            try:
                self._models[key] = self.build(self.network, size)
            finally:
                keras.config.set_dtype_policy("float32")
        return self._models[key]


def _set_weights(model: keras.Model, weights: list[np.ndarray]) -> None:
    model.set_weights(weights)
    for layer in model._flatten_layers():
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()  # which loading a file does, too: the layer computes with copies


def _values(path: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    name = path.rpartition("/")[2]
    if name == "gamma":
        return np.where(random.random(shape) < 0.1, -1, 1) * random.normal(1, 0.2, shape)
    if name in ("beta", "bias"):
        return random.normal(0, 0.2, shape)
    # Of the depthwise kernels, (H, W, C, 1), one channel sees one channel.
    fan_in = prod(shape[:2]) if "dwconv" in path else prod(shape[:-1])
    return random.normal(0, sqrt(2 / fan_in), shape)
