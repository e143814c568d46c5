"""The network of deep-learning-for-image-processing, which no package holds, written from its description.

It pads symmetrically. Its twin from another tutorial, which looks like it and is no EfficientNet, squeezes a share of
the expanded channels and has its activation behind the projection.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from math import ceil

import torch
from torch import nn

TABLE = (
    # kernel, stride, expansion, input and output channels, repeats
    (3, 1, 1, 32, 16, 1),
    (3, 2, 6, 16, 24, 2),
    (5, 2, 6, 24, 40, 2),
    (3, 2, 6, 40, 80, 3),
    (5, 1, 6, 80, 112, 3),
    (5, 2, 6, 112, 192, 4),
    (3, 1, 6, 192, 320, 1),
)
_NORM = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.1)


class TutorialNetwork(nn.Module):
    def __init__(self, *, width: float, depth: float, classes: int, dropout: float, is_twin: bool = False) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["stem_conv"] = _conv(3, _channels(32 * width), kernel=3, stride=2)
        for stage, (kernel, stride, expansion, inputs, outputs, repeats) in enumerate(TABLE, 1):
            for repeat in range(ceil(repeats * depth)):
                layers[f"{stage}{chr(ord('a') + repeat)}"] = Block(
                    _channels((outputs if repeat else inputs) * width),
                    _channels(outputs * width),
                    expansion=expansion,
                    kernel=kernel,
                    stride=1 if repeat else stride,
                    is_twin=is_twin,
                )
        last, head = _channels(TABLE[-1][4] * width), _channels(1280 * width)
        layers["top"] = _conv(last, head, kernel=1)
        self.features = nn.Sequential(layers)
        dense = nn.Linear(head, classes)
        self.classifier = nn.Sequential(nn.Dropout(dropout), dense) if dropout else nn.Sequential(dense)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, expansion: int, kernel: int, stride: int, is_twin: bool) -> None:
        super().__init__()
        expanded = inputs * expansion
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if expanded != inputs:
            layers["expand_conv"] = _conv(inputs, expanded, kernel=1, has_activation=not is_twin)
        layers["dwconv"] = _conv(expanded, expanded, kernel=kernel, stride=stride, groups=expanded)
        layers["se"] = SqueezeExcite(expanded, (expanded if is_twin else inputs) // 4)
        layers["project_conv"] = _conv(expanded, outputs, kernel=1, has_activation=is_twin)
        self.block = nn.Sequential(layers)
        self.has_shortcut = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(x) + x if self.has_shortcut else self.block(x)


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.fc2(nn.functional.silu(self.fc1(x.mean((2, 3), keepdim=True))))) * x


def _conv(
    inputs: int, outputs: int, *, kernel: int, stride: int = 1, groups: int = 1, has_activation: bool = True
) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(conv, _NORM(outputs), nn.SiLU() if has_activation else nn.Identity())


def _channels(number: float) -> int:
    """A multiple of 8 that loses at most a tenth."""
    rounded = max(8, int(number + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * number else rounded + 8
