"""Networks of torchvision, as `torchvision.models.get_model` makes them.

A narrow one has the settings of the published one with other channels and repeats: the constructor takes the settings.
V1 scales its table by itself; V2 has no multiplier, so its table is scaled here, by torchvision's own rounding.
"""

from __future__ import annotations

from functools import partial
from math import ceil
from typing import Any

from torch import nn
from torch_model import TorchModel
from torchvision.models import efficientnet, get_model


class Model(TorchModel):
    @staticmethod
    def build(network: dict[str, Any]) -> nn.Module:
        if network["width"] is None:
            return get_model(network["name"], weights=None, num_classes=network["classes"])
        return _narrow(network["name"], network["width"], network["depth"], network["classes"])


def _narrow(name: str, width: float, depth: float, classes: int) -> nn.Module:
    published = get_model(name, weights=None)
    norm = next(module for module in published.modules() if isinstance(module, nn.BatchNorm2d))
    settings, last = efficientnet._efficientnet_conf(name, width_mult=width, depth_mult=depth)
    if last is not None:  # V2
        last = settings[0].adjust_channels(last, width)
        for setting in settings:
            setting.input_channels = setting.adjust_channels(setting.input_channels, width)
            setting.out_channels = setting.adjust_channels(setting.out_channels, width)
            setting.num_layers = ceil(setting.num_layers * depth)
    norm_layer = partial(nn.BatchNorm2d, eps=norm.eps, momentum=norm.momentum)
    return efficientnet.EfficientNet(settings, 0.2, num_classes=classes, norm_layer=norm_layer, last_channel=last)
