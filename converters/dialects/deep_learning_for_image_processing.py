"""Names of the network in the tutorial series deep-learning-for-image-processing, which many projects have copied.

Stages are numbered from 1 and the blocks of one lettered from a: `features.2a`, `features.2b`. A network that is built
without dropout has its classifier one place earlier.

Source: the collection's PyTorch EfficientNet, model.py.
"""

from types import MappingProxyType

from converters.dialects.dialect import (
    MBCONV,
    MBCONV_PLAIN,
    TORCH_AXES,
    TORCH_IGNORABLE,
    TORCH_LEAVES,
    Dialect,
    Semantics,
)
from effnet_core import Family, Padding

_BLOCK = "features.{stage}{letter}.block"
_EXPAND = {
    "expand.conv": f"{_BLOCK}.expand_conv.0",
    "expand.norm": f"{_BLOCK}.expand_conv.1",
}
_PLAIN = {
    "depthwise.conv": f"{_BLOCK}.dwconv.0",
    "depthwise.norm": f"{_BLOCK}.dwconv.1",
    "squeeze_excite.reduce": f"{_BLOCK}.se.fc1",
    "squeeze_excite.expand": f"{_BLOCK}.se.fc2",
    "project.conv": f"{_BLOCK}.project_conv.0",
    "project.norm": f"{_BLOCK}.project_conv.1",
}

DLFIP = Dialect(
    name="deep-learning-for-image-processing",
    title="deep-learning-for-image-processing",
    families=frozenset({Family.V1}),
    layers=MappingProxyType(
        {
            "stem.conv": "features.stem_conv.0",
            "stem.norm": "features.stem_conv.1",
            "head.conv": "features.top.0",
            "head.norm": "features.top.1",
            "classifier": "classifier.1",
        }
    ),
    alternatives=MappingProxyType({"classifier": "classifier.0"}),
    blocks=MappingProxyType({MBCONV: _EXPAND | _PLAIN, MBCONV_PLAIN: _PLAIN}),
    separator=".",
    leaves=TORCH_LEAVES,
    axes=TORCH_AXES,
    ignorable=TORCH_IGNORABLE,
    norm_counter="num_batches_tracked",
    semantics=(Semantics(padding=Padding.SYMMETRIC, epsilon=1e-3, decay=0.9),),
)
