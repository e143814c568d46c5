"""Names of torchvision's EfficientNets, V1 and V2.

Source: torchvision/models/efficientnet.py and ops/misc.py, version 0.29. A stage is an entry of `features`, between the
stem, 0, and the head, the last; a layer of a block is an entry of `block`, so that its number depends on whether the
block expands. B5 to B7 hold weights that were trained with SAME padding; torchvision pads them symmetrically all the
same, and publishes the accuracy that they have so.
"""

from types import MappingProxyType

from converters.dialects.dialect import (
    FUSED,
    FUSED_PLAIN,
    HALF,
    IMAGENET,
    MBCONV,
    MBCONV_PLAIN,
    TORCH_AXES,
    TORCH_IGNORABLE,
    TORCH_LEAVES,
    Dialect,
    Evaluation,
    Semantics,
)
from effnet_core import Family, JpegDecoding, Padding, Resampling, ShorterSide

_BLOCK = "features.{stage}.{repeat}.block"
_EXPAND = {
    "expand.conv": f"{_BLOCK}.0.0",
    "expand.norm": f"{_BLOCK}.0.1",
}
_MBCONV = {
    "depthwise.conv": f"{_BLOCK}.1.0",
    "depthwise.norm": f"{_BLOCK}.1.1",
    "squeeze_excite.reduce": f"{_BLOCK}.2.fc1",
    "squeeze_excite.expand": f"{_BLOCK}.2.fc2",
    "project.conv": f"{_BLOCK}.3.0",
    "project.norm": f"{_BLOCK}.3.1",
}
_MBCONV_PLAIN = {
    "depthwise.conv": f"{_BLOCK}.0.0",
    "depthwise.norm": f"{_BLOCK}.0.1",
    "squeeze_excite.reduce": f"{_BLOCK}.1.fc1",
    "squeeze_excite.expand": f"{_BLOCK}.1.fc2",
    "project.conv": f"{_BLOCK}.2.0",
    "project.norm": f"{_BLOCK}.2.1",
}
_FUSED = {
    "project.conv": f"{_BLOCK}.1.0",
    "project.norm": f"{_BLOCK}.1.1",
}
_FUSED_PLAIN = {
    "project.conv": f"{_BLOCK}.0.0",
    "project.norm": f"{_BLOCK}.0.1",
}

_EVALUATIONS = {
    # resolution, shorter side: of each network's first published weights (models/efficientnet.py, transforms).
    "efficientnet-b0": (224, 256, Resampling.PILLOW_BICUBIC),
    "efficientnet-b1": (240, 256, Resampling.PILLOW_BICUBIC),
    "efficientnet-b2": (288, 288, Resampling.PILLOW_BICUBIC),
    "efficientnet-b3": (300, 320, Resampling.PILLOW_BICUBIC),
    "efficientnet-b4": (380, 384, Resampling.PILLOW_BICUBIC),
    "efficientnet-b5": (456, 456, Resampling.PILLOW_BICUBIC),
    "efficientnet-b6": (528, 528, Resampling.PILLOW_BICUBIC),
    "efficientnet-b7": (600, 600, Resampling.PILLOW_BICUBIC),
    "efficientnetv2-s": (384, 384, Resampling.PILLOW_BILINEAR),
    "efficientnetv2-m": (480, 480, Resampling.PILLOW_BILINEAR),
    "efficientnetv2-l": (480, 480, Resampling.PILLOW_BICUBIC),
}

TORCHVISION = Dialect(
    name="torchvision",
    title="torchvision",
    families=frozenset({Family.V1, Family.V2}),
    layers=MappingProxyType(
        {
            "stem.conv": "features.0.0",
            "stem.norm": "features.0.1",
            "head.conv": "features.{after_stages}.0",
            "head.norm": "features.{after_stages}.1",
            "classifier": "classifier.1",
        }
    ),
    blocks=MappingProxyType(
        {
            MBCONV: _EXPAND | _MBCONV,
            MBCONV_PLAIN: _MBCONV_PLAIN,
            FUSED: _EXPAND | _FUSED,
            FUSED_PLAIN: _FUSED_PLAIN,
        }
    ),
    separator=".",
    leaves=TORCH_LEAVES,
    axes=TORCH_AXES,
    omissible="features.",
    ignorable=TORCH_IGNORABLE,
    norm_counter="num_batches_tracked",
    evaluations=MappingProxyType(
        {
            name: Evaluation(
                resolution=resolution,
                crop=ShorterSide(side=side),
                resampling=resampling,
                jpeg=JpegDecoding.ACCURATE,
            )
            for name, (resolution, side, resampling) in _EVALUATIONS.items()
        }
    ),
    semantics=(
        Semantics(
            padding=Padding.SYMMETRIC,
            epsilon=1e-5,
            decay=0.9,
            variants=frozenset(f"efficientnet-b{number}" for number in range(5)),
        ),
        Semantics(
            padding=Padding.SYMMETRIC,
            epsilon=1e-3,
            decay=0.99,
            variants=frozenset(f"efficientnet-b{number}" for number in range(5, 8)),
        ),
        Semantics(
            padding=Padding.SYMMETRIC,
            epsilon=1e-3,
            decay=0.9,
            expects=HALF,
            variants=frozenset({"efficientnetv2-l"}),
        ),
        Semantics(padding=Padding.SYMMETRIC, epsilon=1e-3, decay=0.9, expects=IMAGENET),
    ),
)
