"""Classes of Keras' layers by what they do: what configurations, which are not run, tell by a name alone.

Source: keras/src/layers of version 3.15; the names are those of Keras 2 too.
"""

from __future__ import annotations

from effnet_core import Activation, Pooling

ACTIVATIONS = {**{str(activation): activation for activation in Activation}, "silu": Activation.SWISH}
"""By the names that Keras gives them."""
ACTIVATION_LAYERS = frozenset({"Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"})
POOLING = {"GlobalAveragePooling2D": Pooling.AVERAGE, "GlobalMaxPooling2D": Pooling.MAX}
SUM, PRODUCT = "Add", "Multiply"
ZEROS = "ZeroPadding2D"

IN_TRAINING_ONLY = frozenset(
    {
        *("Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise", "AlphaDropout", "ActivityRegularization"),
        "FixedDropout",
    }
)
"""FixedDropout is a Dropout of the package `efficientnet` (qubvel), whose networks drop residual branches with it."""
IDLE = IN_TRAINING_ONLY | {"InputLayer", "Identity"}
"""Layers that do nothing in evaluation."""
RANDOM = frozenset(
    {
        *("RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast"),
        *("RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale"),
        *("RandomHeight", "RandomHue", "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomRotation"),
        *("RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation", "RandomWidth", "RandomZoom"),
    }
)
"""Layers that change images in training, and leave them as they are in evaluation."""
RESIZING = frozenset({"Resizing", "CenterCrop", "RandomCrop"})
"""Layers that give images of a size of their own, in evaluation too."""
OF_IMAGES = (
    RANDOM
    | RESIZING
    | {
        *(
            "AugMix",
            "AutoContrast",
            "CutMix",
            "Equalization",
            "MaxNumBoundingBoxes",
            "MixUp",
            "Normalization",
            "Pipeline",
        ),
        *("RandAugment", "Rescaling", "Solarization"),
        *("AveragePooling2D", "Cropping2D", "UpSampling2D", ZEROS),
    }
)
"""Layers that usually stand in front of a network, and cannot stand behind its pooling."""
