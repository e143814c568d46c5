"""Names of transformers' EfficientNet, which it has for V1 alone.

The classifier stands beside the network, whose names begin with `efficientnet.`; EfficientNetModel, which has no
classifier, leaves that out. Its convolutions pad as TensorFlow does at the resolution of its configuration
(`depthwise_padding` lists the blocks that meet an odd side there), and wrongly at others.

Source: transformers/models/efficientnet/modeling_efficientnet.py, version 5.23.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from converters.dialects.dialect import (
    MBCONV,
    MBCONV_PLAIN,
    TORCH_AXES,
    TORCH_IGNORABLE,
    TORCH_LEAVES,
    Configured,
    Dialect,
    Semantics,
)
from effnet_core import Family, NetworkSpec, Padding

_MODEL_TYPE = r'"model_type": *"efficientnet"'
_NETWORK = "efficientnet."
_BLOCK = f"{_NETWORK}encoder.blocks.{{index}}"
_EXPAND = {
    "expand.conv": f"{_BLOCK}.expansion.expand_conv",
    "expand.norm": f"{_BLOCK}.expansion.expand_bn",
}
_PLAIN = {
    "depthwise.conv": f"{_BLOCK}.depthwise_conv.depthwise_conv",
    "depthwise.norm": f"{_BLOCK}.depthwise_conv.depthwise_norm",
    "squeeze_excite.reduce": f"{_BLOCK}.squeeze_excite.reduce",
    "squeeze_excite.expand": f"{_BLOCK}.squeeze_excite.expand",
    "project.conv": f"{_BLOCK}.projection.project_conv",
    "project.norm": f"{_BLOCK}.projection.project_bn",
}


def _companions(spec: NetworkSpec) -> Mapping[str, str]:
    from converters.dialects._huggingface_config import companions  # noqa: PLC0415 - of its folders only

    return companions(spec)


def _configured(spec: NetworkSpec, texts: Mapping[str, str]) -> Configured:
    from converters.dialects._huggingface_reading import configured  # noqa: PLC0415 - as above

    return configured(spec, texts)


HUGGINGFACE = Dialect(
    name="huggingface",
    title="transformers",
    families=frozenset({Family.V1}),
    layers=MappingProxyType(
        {
            "stem.conv": f"{_NETWORK}embeddings.convolution",
            "stem.norm": f"{_NETWORK}embeddings.batchnorm",
            "head.conv": f"{_NETWORK}encoder.top_conv",
            "head.norm": f"{_NETWORK}encoder.top_bn",
            "classifier": "classifier",
        }
    ),
    blocks=MappingProxyType({MBCONV: _EXPAND | _PLAIN, MBCONV_PLAIN: _PLAIN}),
    separator=".",
    leaves=TORCH_LEAVES,
    axes=TORCH_AXES,
    omissible=_NETWORK,
    ignorable=TORCH_IGNORABLE,
    norm_counter="num_batches_tracked",
    companions=_companions,
    configured=_configured,
    hint=lambda texts: any(re.search(_MODEL_TYPE, text) for text in texts.values()),
    semantics=(
        Semantics(
            padding=Padding.SAME,
            epsilon=1e-3,
            first_block_adds=False,
            maximum_pooling="pooling_type='max'",
            remark=(
                "transformers pads as TensorFlow does only at the resolution of config.json: other sizes of its input "
                "give other logits."
            ),
        ),
    ),
)
