"""EfficientNetForImageClassification of transformers, or EfficientNetModel where there are no classes.

Both are saved and loaded with their own `save_pretrained` machinery.

Its configuration scales the network. `hidden_dim`, the channels of the head, and `depthwise_padding`, the blocks that
see an odd grid at the nominal size, must be given; here they are computed for `image_size`.
"""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Any

from torch import nn
from torch_model import TorchModel
from transformers import EfficientNetConfig, EfficientNetForImageClassification, EfficientNetModel
from transformers.models.efficientnet.modeling_efficientnet import round_filters

PUBLISHED = {
    "b0": (1.0, 1.0, 224),
    "b1": (1.0, 1.1, 240),
    "b2": (1.1, 1.2, 260),
    "b3": (1.2, 1.4, 300),
    "b4": (1.4, 1.8, 380),
    "b5": (1.6, 2.2, 456),
    "b6": (1.8, 2.6, 528),
    "b7": (2.0, 3.1, 600),
    "b8": (2.2, 3.6, 672),
    "l2": (4.3, 5.3, 800),
}
"""Width, depth and nominal size. Sources: the conversion script of transformers, for B8 and L2 the official code."""


class Model(TorchModel):
    @staticmethod
    def build(network: dict[str, Any]) -> nn.Module:
        return _kind(network)(_configuration(network))

    def save(self, folder: Path) -> dict[str, Path]:
        self.module.save_pretrained(folder)
        return {"safetensors": folder / "model.safetensors", "config": folder / "config.json"}

    def load(self, path: Path) -> None:
        # The configuration beside the file, as its users have it; without one, that of the network asked for.
        config = None if (path.parent / "config.json").exists() else self.module.config
        self.module, report = _kind(self.network).from_pretrained(path.parent, config=config, output_loading_info=True)
        if any(report.values()):
            raise ValueError(f"{path} does not fit: {report}")
        self.module.eval()


def _kind(network: dict[str, Any]) -> Any:
    return EfficientNetForImageClassification if network["classes"] else EfficientNetModel


def _configuration(network: dict[str, Any]) -> EfficientNetConfig:
    width, depth, size = PUBLISHED[network["name"]]
    width, depth = network["width"] or width, network["depth"] or depth
    config = EfficientNetConfig(
        width_coefficient=width,
        depth_coefficient=depth,
        image_size=size,
        num_labels=network["classes"],
        **network["settings"],
    )
    config.hidden_dim = round_filters(config, 1280)
    grid, odd, index = ceil(size / 2), [], 0
    for stride, repeats in zip(config.strides, config.num_block_repeats, strict=True):
        if stride == 2 and grid % 2 == 1:
            odd.append(index)
        grid = ceil(grid / stride)
        index += ceil(repeats * depth)
    config.depthwise_padding = odd
    return config
