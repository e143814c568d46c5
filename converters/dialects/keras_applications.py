"""Layers of keras.applications: EfficientNet (B0-B7) and EfficientNetV2 (B0-B3, S, M, L).

V1 networks hold the numbers by which they normalise their input as tensors, V2 networks in their configuration.
`converters.keras_models.normalisation` finds out what those of a file mean.

Source: keras/src/applications/efficientnet.py and efficientnet_v2.py, version 3.15.
"""

from types import MappingProxyType

from converters.dialects.dialect import (
    FUSED,
    FUSED_PLAIN,
    MBCONV,
    MBCONV_PLAIN,
    Dialect,
    PixelRange,
    Semantics,
    StoredNormalisation,
)
from converters.dialects.effnet_keras import KERAS_3_DEPTHWISE, KERAS_LEAVES
from effnet_core import Family, Padding

MADE_FOR_ANY_SIZE = (
    "keras.applications pads as is computed here where its network is made for a size of images (input_shape=...). "
    "Made for any size, as include_top=False alone makes it, it pads odd sizes as if they were even: with images whose "
    "sides are no multiples of 32 its logits may have been others."
)
BLOCK = "block{stage}{letter}"
LAYERS = MappingProxyType(
    {
        "stem.conv": "stem_conv",
        "stem.norm": "stem_bn",
        "head.conv": "top_conv",
        "head.norm": "top_bn",
        "classifier": "predictions",
    }
)
EXPAND = {"expand.conv": f"{BLOCK}_expand_conv", "expand.norm": f"{BLOCK}_expand_bn"}
SQUEEZE_EXCITE = {
    "squeeze_excite.reduce": f"{BLOCK}_se_reduce",
    "squeeze_excite.expand": f"{BLOCK}_se_expand",
}
_PROJECT = {"project.conv": f"{BLOCK}_project_conv", "project.norm": f"{BLOCK}_project_bn"}
_V1 = {
    "depthwise.conv": f"{BLOCK}_dwconv",
    "depthwise.norm": f"{BLOCK}_bn",
    **SQUEEZE_EXCITE,
    **_PROJECT,
}
_V2 = {**_V1, "depthwise.conv": f"{BLOCK}_dwconv2"}
V1_BLOCKS = MappingProxyType({MBCONV: EXPAND | _V1, MBCONV_PLAIN: _V1})

KERAS_APPLICATIONS = Dialect(
    name="keras-applications",
    title="keras.applications EfficientNet",
    layers=LAYERS,
    blocks=V1_BLOCKS,
    separator="/",
    leaves=KERAS_LEAVES,
    axes=MappingProxyType({}),
    families=frozenset({Family.V1}),
    depthwise_alternative=KERAS_3_DEPTHWISE,
    normalisation=StoredNormalisation(
        mean="normalization/mean", variance="normalization/variance", count="normalization/count"
    ),
    semantics=(
        Semantics(
            padding=Padding.SAME,
            epsilon=1e-3,
            decay=0.99,
            remark=(
                "keras.applications pads as TensorFlow does where its network is made for a size "
                "(input_shape=(height, width, 3)). Made for any size, as include_top=False alone makes it, it pads odd "
                "sizes as if they were even, and gives other logits."
            ),
            doubt=MADE_FOR_ANY_SIZE,
        ),
    ),
)

KERAS_APPLICATIONS_V2 = Dialect(
    name="keras-applications-v2",
    title="keras.applications EfficientNetV2",
    layers=LAYERS,
    blocks=MappingProxyType({MBCONV: EXPAND | _V2, MBCONV_PLAIN: _V2, FUSED: EXPAND | _PROJECT, FUSED_PLAIN: _PROJECT}),
    separator="/",
    leaves=KERAS_LEAVES,
    axes=MappingProxyType({}),
    families=frozenset({Family.V2}),
    depthwise_alternative=KERAS_3_DEPTHWISE,
    semantics=(
        Semantics(
            padding=Padding.SAME,
            epsilon=1e-3,
            decay=0.9,
            normalises=PixelRange(
                mean=(0.485 * 255, 0.456 * 255, 0.406 * 255), scale=(0.229 * 255, 0.224 * 255, 0.225 * 255)
            ),
            normalising_layers=frozenset({"rescaling", "normalization"}),
            variants=frozenset(f"efficientnetv2-b{number}" for number in range(4)),
        ),
        Semantics(
            padding=Padding.SAME,
            epsilon=1e-3,
            decay=0.9,
            normalises=PixelRange(mean=(128.0, 128.0, 128.0), scale=(128.0, 128.0, 128.0)),
            normalising_layers=frozenset({"rescaling"}),
        ),
    ),
)
