"""Variable names of the official TensorFlow code: V1, Lite, EdgeTPU, CondConv and V2.

Source: tensorflow/tpu models/official/efficientnet/efficientnet_model.py, google/automl efficientnetv2/
effnetv2_model.py. Layers of a kind are numbered in call order inside each block, so that in a block without expansion
the projection is the first convolution and the depthwise norm the first norm. Conditional convolutions stand in a
second scope and count through the whole network, three for each block, of which the first is never built.
"""

from types import MappingProxyType

from converters.dialects.dialect import (
    COND,
    FUSED,
    FUSED_PLAIN,
    MBCONV,
    MBCONV_PLAIN,
    Dialect,
    Ignorable,
    Semantics,
)
from effnet_core import Padding, Role, Slot

_BLOCK = "{scope}/blocks_{index}"
_NORM = "tpu_batch_normalization"
_SQUEEZE_EXCITE = {
    "squeeze_excite.reduce": f"{_BLOCK}/se/conv2d",
    "squeeze_excite.expand": f"{_BLOCK}/se/conv2d_1",
}
_NORMS = {
    "expand.norm": f"{_BLOCK}/{_NORM}",
    "depthwise.norm": f"{_BLOCK}/{_NORM}_1",
    "project.norm": f"{_BLOCK}/{_NORM}_2",
}

GLOBAL_STEP = "global_step"
"""The number of training steps, an integer scalar outside the scope."""
SLOT_SUFFIXES = (
    MappingProxyType({Slot.MEAN_SQUARE: "/RMSProp", Slot.MOMENTUM: "/RMSProp_1"}),
    MappingProxyType({Slot.ACCUMULATED: "/Momentum"}),
)
"""What follows a variable's name in the names of an optimiser's slots, one row for each optimiser."""

OFFICIAL = Dialect(
    name="official",
    title="official TensorFlow code (tensorflow/tpu, google/automl)",
    layers=MappingProxyType(
        {
            "stem.conv": "{scope}/stem/conv2d",
            "stem.norm": f"{{scope}}/stem/{_NORM}",
            "head.conv": "{scope}/head/conv2d",
            "head.norm": f"{{scope}}/head/{_NORM}",
            "classifier": "{scope}/head/dense",
        }
    ),
    # Graphs built by today's V2 code open the scope of the head a second time for the classifier.
    alternatives=MappingProxyType({"classifier": "{scope}/head_1/dense"}),
    blocks=MappingProxyType(
        {
            MBCONV: {
                "expand.conv": f"{_BLOCK}/conv2d",
                "depthwise.conv": f"{_BLOCK}/depthwise_conv2d",
                "project.conv": f"{_BLOCK}/conv2d_1",
                **_SQUEEZE_EXCITE,
                **_NORMS,
            },
            MBCONV_PLAIN: {
                "depthwise.conv": f"{_BLOCK}/depthwise_conv2d",
                "depthwise.norm": f"{_BLOCK}/{_NORM}",
                **_SQUEEZE_EXCITE,
                "project.conv": f"{_BLOCK}/conv2d",
                "project.norm": f"{_BLOCK}/{_NORM}_1",
            },
            FUSED: {
                "expand.conv": f"{_BLOCK}/conv2d",
                "expand.norm": f"{_BLOCK}/{_NORM}",
                "project.conv": f"{_BLOCK}/conv2d_1",
                "project.norm": f"{_BLOCK}/{_NORM}_1",
            },
            FUSED_PLAIN: {
                "project.conv": f"{_BLOCK}/conv2d",
                "project.norm": f"{_BLOCK}/{_NORM}",
            },
            COND: {
                "routing": f"{_BLOCK}/dense",
                "expand.conv": "{scope}/model/blocks_{index}/cond_conv2d_{nth_of_three}",
                "depthwise.conv": "{scope}/model/blocks_{index}/depthwise_cond_conv2d[_{nth}]",
                "project.conv": "{scope}/model/blocks_{index}/cond_conv2d_{next_of_three}",
                **_SQUEEZE_EXCITE,
                **_NORMS,
            },
        }
    ),
    separator="/",
    leaves=MappingProxyType(
        {
            Role.CONV: "kernel",
            Role.DEPTHWISE: "depthwise_kernel",
            Role.DENSE: "kernel",
            Role.ROUTING: "kernel",
            Role.EXPERTS: "condconv_kernel",
            Role.DEPTHWISE_EXPERTS: "depthwise_condconv_kernel",
            Role.BIAS: "bias",
            Role.GAMMA: "gamma",
            Role.BETA: "beta",
            Role.MEAN: "moving_mean",
            Role.VARIANCE: "moving_variance",
        }
    ),
    axes=MappingProxyType({}),
    shadow_suffix="/ExponentialMovingAverage",
    ignorable=(
        Ignorable(pattern=r"(.*/)?global_step", reason="the number of training steps"),
        Ignorable(pattern=r".*/(RMSProp|RMSProp_1|Momentum|Adam|Adam_1)", reason="a slot of the optimiser"),
        Ignorable(pattern=r"(.*/)?beta[12]_power", reason="a counter of the optimiser"),
    ),
    semantics=(Semantics(padding=Padding.SAME, epsilon=1e-3),),
)
