"""EfficientNetImageClassifier of KerasHub, in Keras' PyTorch backend, with the settings that its own converter uses.

The names are those of timm that this converter knows, such as efficientnet_b0.
"""

from __future__ import annotations

import os
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"  # read when keras is imported

import keras
import torch
from keras_hub.models import EfficientNetBackbone, EfficientNetImageClassifier
from keras_hub.src.utils.timm.convert_efficientnet import convert_backbone_config
from keras_model import KerasModel, Shape

torch.set_num_threads(1)
torch.set_grad_enabled(False)


class Model(KerasModel):
    PIXELS = False

    @staticmethod
    def build(network: dict[str, Any], size: Shape) -> keras.Model:
        settings = convert_backbone_config({"architecture": network["name"]})
        stacks = len(settings["stackwise_kernel_sizes"])
        for key in ("width", "depth"):
            if network[key] is not None:
                settings[f"stackwise_{key}_coefficients"] = [network[key]] * stacks
        backbone = EfficientNetBackbone(**settings, input_shape=(*size, 3))
        return EfficientNetImageClassifier(backbone=backbone, num_classes=network["classes"])
