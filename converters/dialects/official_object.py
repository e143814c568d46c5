"""Names in the object-based checkpoints that the official V2 code writes with tf.train.Checkpoint.

Source: google/automl efficientnetv2/main_tf2.py and effnetv2_model.py: attributes of the model and of its layers. It
keeps no moving averages.
"""

from types import MappingProxyType

from converters.dialects.dialect import (
    FUSED,
    FUSED_PLAIN,
    MBCONV,
    MBCONV_PLAIN,
    Dialect,
    Ignorable,
    Semantics,
)
from effnet_core import Padding, Role

_VALUE = ".ATTRIBUTES/VARIABLE_VALUE"
_BLOCK = "_blocks/{index}"
_EXPAND = {"expand.conv": f"{_BLOCK}/_expand_conv", "expand.norm": f"{_BLOCK}/_norm0"}
_MBCONV = {
    "depthwise.conv": f"{_BLOCK}/_depthwise_conv",
    "depthwise.norm": f"{_BLOCK}/_norm1",
    "squeeze_excite.reduce": f"{_BLOCK}/_se/_se_reduce",
    "squeeze_excite.expand": f"{_BLOCK}/_se/_se_expand",
    "project.conv": f"{_BLOCK}/_project_conv",
    "project.norm": f"{_BLOCK}/_norm2",
}
_FUSED = {"project.conv": f"{_BLOCK}/_project_conv", "project.norm": f"{_BLOCK}/_norm1"}

OFFICIAL_OBJECT = Dialect(
    name="official-object",
    title="official TensorFlow 2 code (google/automl), object-based",
    layers=MappingProxyType(
        {
            "stem.conv": "_stem/_conv_stem",
            "stem.norm": "_stem/_norm",
            "head.conv": "_head/_conv_head",
            "head.norm": "_head/_norm",
            "classifier": "_fc",
        }
    ),
    blocks=MappingProxyType(
        {MBCONV: _EXPAND | _MBCONV, MBCONV_PLAIN: _MBCONV, FUSED: _EXPAND | _FUSED, FUSED_PLAIN: _FUSED}
    ),
    separator="/",
    leaves=MappingProxyType(
        {
            role: f"{leaf}/{_VALUE}"
            for role, leaf in {
                Role.CONV: "kernel",
                Role.DEPTHWISE: "depthwise_kernel",
                Role.DENSE: "kernel",
                Role.BIAS: "bias",
                Role.GAMMA: "gamma",
                Role.BETA: "beta",
                Role.MEAN: "moving_mean",
                Role.VARIANCE: "moving_variance",
            }.items()
        }
    ),
    axes=MappingProxyType({}),
    ignorable=(
        Ignorable(pattern=r".*/\.OPTIMIZER_SLOT/.*", reason="a slot of the optimiser"),
        Ignorable(pattern=rf"optimizer/.*{_VALUE}", reason="a number of the optimiser"),
        Ignorable(pattern=rf"(save_counter|step|global_step)/{_VALUE}", reason="a counter of training or saving"),
    ),
    semantics=(Semantics(padding=Padding.SAME, epsilon=1e-3),),
)
