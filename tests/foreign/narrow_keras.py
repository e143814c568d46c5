"""A narrow EfficientNet of keras.applications in this process, lively, and how far a file's logits are from its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from keras.src.applications.efficientnet import EfficientNet  # keras.applications offers the published sizes only

import effnet
from converters import SourceOptions

SIZE = 64
PIXELS = np.random.default_rng(1).uniform(0, 255, (2, SIZE, SIZE, 3)).astype(np.float32)
BOUND = 1e-5


def backbone(**options: Any) -> Any:
    """Without a classifier, unless the options of keras.applications say otherwise."""
    return EfficientNet(
        width_coefficient=0.13,
        depth_coefficient=0.5,
        default_size=SIZE,
        weights_name="b0",
        name="efficientnetb0",
        **{"weights": None, "include_top": False, "input_shape": (SIZE, SIZE, 3)} | options,
    )


def make_lively(model: Any) -> None:
    """Random weights that keep logits in range; what normalises pixels stays."""
    random = np.random.default_rng(0)
    for variable in model.weights:
        shape, (layer, leaf) = tuple(variable.shape), variable.path.split("/")[-2:]
        if layer.startswith("normalization") or "seed" in leaf:
            continue
        if leaf == "kernel":
            fan_in = np.prod(shape[:2] if layer.endswith(("dwconv", "dwconv2")) else shape[:-1])
            variable.assign(random.normal(0, np.sqrt(2 / fan_in), shape))
        elif leaf == "moving_variance":
            variable.assign(random.uniform(0.4, 1.2, shape))
        else:
            variable.assign(random.normal(leaf == "gamma", 0.2, shape))


def distance(path: Path, logits: np.ndarray, backend: str, options: SourceOptions | None = None, **more: Any) -> float:
    """The largest difference between logits, of the largest logit."""
    model = effnet.load_model(path, backend=backend, options=options, **more)
    prepared = (
        model.spec.preprocessing
        if backend == "torch"
        else effnet.load_network(path, options=options).spec.preprocessing
    )
    x = (PIXELS - np.float32(prepared.mean)) / np.float32(prepared.scale)
    if backend == "tf":
        found = model(x).numpy()
    else:
        with torch.no_grad():
            found = model(torch.from_numpy(x.transpose(0, 3, 1, 2))).numpy()  # (N, H, W, C) -> (N, C, H, W)
    return float(np.abs(found - logits).max() / np.abs(logits).max())
