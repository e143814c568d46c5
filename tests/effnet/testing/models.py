"""Small networks of either framework with the same lively weights, which are nobody's but the tests'."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import torch
from torch import nn

NAMES = {"inner/conv": "0", "inner/norm": "1", "relu": "2", "depth": "3", "sum": "4", "dense": "7"}
"""What the layers of `keras_model` are called in `torch_model`."""
INPUT = (2, 12, 9, 3)
SHAPES = {"conv": (3, 3, 3, 8), "gamma": (8,), "beta": (8,), "mean": (8,), "variance": (8,), "depth": (3, 3, 8, 1)}
SHAPES |= {"dense": (8, 5), "bias": (5,)}


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    found = {name: random.normal(0, 0.5, shape).astype(np.float32) for name, shape in SHAPES.items()}
    return found | {"variance": random.uniform(0.4, 1.2, 8).astype(np.float32)}


def keras_model(given: dict[str, np.ndarray] | None = None, *, padding: str = "same") -> Any:
    """A convolution and its normalisation in a model within the model, a residual, a classifier."""
    image = keras.Input((None, None, 3))
    conv = keras.layers.Conv2D(8, 3, padding=padding, use_bias=False, name="conv")(image)
    inner = keras.Model(image, keras.layers.BatchNormalization(epsilon=1e-3, name="norm")(conv), name="inner")
    image = keras.Input((None, None, 3))
    x = keras.layers.ReLU(name="relu")(inner(image))
    depth = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depth")(x)
    x = keras.layers.Add(name="sum")([x, depth])
    x = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, keras.layers.Dense(5, name="dense")(x), name="small")
    own = weights() if given is None else given
    order = ("conv", "gamma", "beta", "mean", "variance", "depth", "dense", "bias")
    model.set_weights([own[name] for name in order])
    return model


def torch_model(given: dict[str, np.ndarray] | None = None, *, epsilon: float = 1e-3) -> Any:
    """The same in training mode, with an activation that works in place."""

    class Small(nn.Sequential):
        def forward(self, x: Any) -> Any:
            x = self[2](self[1](self[0](x)))
            x = self[4](x + self[3](x))
            return self[7](self[6](self[5](x).flatten(1)))

    model = Small(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8, eps=epsilon),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
        nn.Identity(),
        nn.AdaptiveAvgPool2d(1),
        nn.Dropout(0.5),
        nn.Linear(8, 5),
    )
    own = weights() if given is None else given
    state = {
        "0.weight": own["conv"].transpose(3, 2, 0, 1),  # HWIO -> OIHW
        "1.weight": own["gamma"],
        "1.bias": own["beta"],
        "1.running_mean": own["mean"],
        "1.running_var": own["variance"],
        "1.num_batches_tracked": np.int64(7),
        "3.weight": own["depth"].transpose(2, 3, 0, 1),  # HWCM -> CMHW
        "7.weight": own["dense"].T,  # IO -> OI
        "7.bias": own["bias"],
    }
    model.load_state_dict({name: torch.tensor(np.ascontiguousarray(value)) for name, value in state.items()})
    return model
