"""Networks of efficientnet_pytorch and of its descendant efficientnet_lite_pytorch, by their names (efficientnet-b0).

They are made with image_size=None, so that they pad for the size of the image that they are given; `efficientnet-b0
nominal` and the like as `from_name` makes them, with the padding for the nominal size built in.
"""

from __future__ import annotations

from typing import Any

import efficientnet_lite_pytorch
import efficientnet_pytorch
from torch import nn
from torch_model import TorchModel


class Model(TorchModel):
    @staticmethod
    def build(network: dict[str, Any]) -> nn.Module:
        name, *nominal = network["name"].split()
        library = efficientnet_lite_pytorch if "lite" in name else efficientnet_pytorch
        scale = {"width_coefficient": network["width"], "depth_coefficient": network["depth"]}
        given = {name: value for name, value in scale.items() if value is not None}
        settings = {"num_classes": network["classes"], **given, **({} if nominal else {"image_size": None})}
        return library.EfficientNet.from_name(name, **settings)
