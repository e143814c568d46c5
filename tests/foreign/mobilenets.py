"""MobileNetV2 of torchvision and of timm, made in processes of their own, which load one of them: it takes seconds."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import nn

torch.set_num_threads(1)


def from_torchvision(weights: str, width: float, classes: int, epsilon: float) -> nn.Module:
    """Pads symmetrically, whatever the input's size is."""
    models: Any = import_module("torchvision.models")
    norm = partial(nn.BatchNorm2d, eps=epsilon)
    return _with(models.MobileNetV2(num_classes=classes, width_mult=width, norm_layer=norm), weights)


def from_timm(weights: str, name: str, classes: int, epsilon: float) -> nn.Module:
    """Pads as TensorFlow does."""
    timm: Any = import_module("timm")
    return _with(timm.create_model(name, num_classes=classes, pad_type="same", bn_eps=epsilon), weights)


def _with(module: nn.Module, weights: str) -> nn.Module:
    with np.load(weights) as file:
        state: dict[str, Any] = {name: torch.from_numpy(file[name]) for name in file}
    counters = {name: value for name, value in module.state_dict().items() if name.endswith("num_batches_tracked")}
    module.load_state_dict(state | counters, strict=True)
    return module
