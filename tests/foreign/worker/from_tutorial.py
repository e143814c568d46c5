"""The network of deep-learning-for-image-processing by its size: b0 to b8, l2.

` without dropout` or ` twin` may follow.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch_model import TorchModel
from tutorial_network import TutorialNetwork

PUBLISHED = {
    "b0": (1.0, 1.0, 0.2),
    "b1": (1.0, 1.1, 0.2),
    "b2": (1.1, 1.2, 0.3),
    "b3": (1.2, 1.4, 0.3),
    "b4": (1.4, 1.8, 0.4),
    "b5": (1.6, 2.2, 0.4),
    "b6": (1.8, 2.6, 0.5),
    "b7": (2.0, 3.1, 0.5),
    "b8": (2.2, 3.6, 0.5),
    "l2": (4.3, 5.3, 0.5),
}
"""Width, depth and dropout rate; it has B0 to B7, and the others by coefficients."""


class Model(TorchModel):
    @staticmethod
    def build(network: dict[str, Any]) -> nn.Module:
        name, _, kind = network["name"].partition(" ")
        width, depth, dropout = PUBLISHED[name]
        return TutorialNetwork(
            width=network["width"] or width,
            depth=network["depth"] or depth,
            classes=network["classes"],
            dropout=0.0 if kind == "without dropout" else dropout,
            is_twin=kind == "twin",
        )
