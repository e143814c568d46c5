"""Layers of KerasHub's EfficientNetBackbone and EfficientNetImageClassifier, which take the weights of timm.

Its B0-B5 and Lite0 compute what timm's models without tf_ compute. Its EdgeTPU and V2 networks do not (depthwise
convolutions there pad as TensorFlow does, between others that pad symmetrically), so they are left out. Files of
EfficientNetImageClassifier have the names of the network behind that of the backbone (`efficient_net_backbone/`), those
of the dense layer without: read, as any head behind a network; written files are for EfficientNetBackbone.

Source: keras_hub/src/models/efficientnet/efficientnet_backbone.py and src/utils/timm/convert_efficientnet.py, 0.32.
"""

from types import MappingProxyType

from converters.dialects.dialect import MBCONV, MBCONV_PLAIN, Dialect, Semantics
from converters.dialects.effnet_keras import KERAS_3_DEPTHWISE, KERAS_LEAVES
from converters.dialects.keras_applications import BLOCK, EXPAND, LAYERS, SQUEEZE_EXCITE
from effnet_core import Family, Padding

_PLAIN = {
    "depthwise.conv": f"{BLOCK}_dwconv",
    "depthwise.norm": f"{BLOCK}_dwconv_bn",
    **SQUEEZE_EXCITE,
    "project.conv": f"{BLOCK}_project",
    "project.norm": f"{BLOCK}_project_bn",
}

KERAS_HUB = Dialect(
    name="keras-hub",
    title="KerasHub",
    layers=LAYERS,
    blocks=MappingProxyType({MBCONV: EXPAND | _PLAIN, MBCONV_PLAIN: _PLAIN}),
    separator="/",
    leaves=KERAS_LEAVES,
    axes=MappingProxyType({}),
    families=frozenset({Family.V1, Family.LITE}),
    depthwise_alternative=KERAS_3_DEPTHWISE,
    # The norms of its blocks keep Keras' decay of 0.99, those of stem and head have 0.9.
    semantics=(Semantics(padding=Padding.SYMMETRIC, epsilon=1e-5),),
)
