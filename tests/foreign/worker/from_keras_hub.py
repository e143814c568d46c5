"""EfficientNetImageClassifier of KerasHub, in Keras' PyTorch backend, with the settings that its own converter uses.

The names are those of timm that this converter knows, such as efficientnet_b0; `efficientnet_b0 backbone` is
EfficientNetBackbone alone, whose output, averaged over the image, stands in the place of logits; `efficientnet_b0 max`
is the classifier with maximum pooling.

It computes in float32 alone: in this backend Keras casts the input of norms and averages to it, whatever it is asked.
"""

from __future__ import annotations

import os
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"  # read when keras is imported

import keras
import numpy as np
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
        name, *words = network["name"].split()
        settings = convert_backbone_config({"architecture": name})
        stacks = len(settings["stackwise_kernel_sizes"])
        for key in ("width", "depth"):
            if network[key] is not None:
                settings[f"stackwise_{key}_coefficients"] = [network[key]] * stacks
        backbone = EfficientNetBackbone(**settings, input_shape=(*size, 3))
        if "backbone" in words:
            return backbone
        options = {"num_classes": network["classes"], "pooling": "max" if "max" in words else "avg", "dropout": 0.3}
        return EfficientNetImageClassifier(backbone=backbone, **options)

    def logits(self, images: np.ndarray, dtype: str) -> np.ndarray:
        output = super().logits(images, dtype)
        return output.mean(axis=(1, 2)) if output.ndim == 4 else output
