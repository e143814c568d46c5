"""Names of lukemelas/EfficientNet-PyTorch and of its descendants (efficientnet-lite-pytorch).

Source: efficientnet_pytorch/model.py, version 0.7.1. Its normalisations count from _bn0 whether or not a block
expands, so blocks without expansion just have no _bn0. The stride of the first block of a stage is a list there,
[1], which is not 1, so that it adds no residual.
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
from effnet_core import Padding

_PLAIN = {
    "depthwise.conv": "_blocks.{index}._depthwise_conv",
    "depthwise.norm": "_blocks.{index}._bn1",
    "squeeze_excite.reduce": "_blocks.{index}._se_reduce",
    "squeeze_excite.expand": "_blocks.{index}._se_expand",
    "project.conv": "_blocks.{index}._project_conv",
    "project.norm": "_blocks.{index}._bn2",
}
_EXPAND = {
    "expand.conv": "_blocks.{index}._expand_conv",
    "expand.norm": "_blocks.{index}._bn0",
}

EFFICIENTNET_PYTORCH = Dialect(
    name="efficientnet-pytorch",
    title="lukemelas/EfficientNet-PyTorch",
    layers=MappingProxyType(
        {
            "stem.conv": "_conv_stem",
            "stem.norm": "_bn0",
            "head.conv": "_conv_head",
            "head.norm": "_bn1",
            "classifier": "_fc",
        }
    ),
    blocks=MappingProxyType({MBCONV: _EXPAND | _PLAIN, MBCONV_PLAIN: _PLAIN}),
    separator=".",
    leaves=TORCH_LEAVES,
    axes=TORCH_AXES,
    ignorable=TORCH_IGNORABLE,
    norm_counter="num_batches_tracked",
    semantics=(
        Semantics(
            padding=Padding.SAME,
            epsilon=1e-3,
            first_block_adds=False,
            remark=(
                "efficientnet-pytorch pads as TensorFlow does where its model is made with image_size=None. Otherwise "
                "it pads images of any size as those of the network's nominal size, and others give other logits."
            ),
            doubt=(
                "efficientnet-pytorch pads images of any size as those of the network's nominal size, unless its model "
                "is made with image_size=None. A network that was used so at another size may have given other logits "
                "there than are computed here."
            ),
        ),
    ),
)
