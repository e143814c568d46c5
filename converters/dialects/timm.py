"""Names of timm's EfficientNets, of which it has two kinds.

Models whose name begins with tf_ take the official TensorFlow weights: SAME padding, epsilon 1e-3. The others, trained
in PyTorch, pad symmetrically, epsilon 1e-5. Their tensors have the same names, so that only the model's name tells them
apart (`_timm_statements`), which timm's own folders hold in config.json and its training program in the checkpoint.

Source: timm/models/efficientnet.py, _efficientnet_blocks.py and _efficientnet_builder.py, version 1.0.31.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from converters.dialects.dialect import (
    COND,
    FUSED,
    FUSED_PLAIN,
    IMAGENET,
    MBCONV,
    MBCONV_PLAIN,
    TORCH_AXES,
    TORCH_IGNORABLE,
    TORCH_LEAVES,
    Configured,
    Dialect,
    Semantics,
)
from effnet_core import NetworkSpec, Padding

_BLOCK = "blocks.{stage_index}.{repeat}"
_SQUEEZE_EXCITE = {
    "squeeze_excite.reduce": f"{_BLOCK}.se.conv_reduce",
    "squeeze_excite.expand": f"{_BLOCK}.se.conv_expand",
}
_MBCONV = {
    "expand.conv": f"{_BLOCK}.conv_pw",
    "expand.norm": f"{_BLOCK}.bn1",
    "depthwise.conv": f"{_BLOCK}.conv_dw",
    "depthwise.norm": f"{_BLOCK}.bn2",
    **_SQUEEZE_EXCITE,
    "project.conv": f"{_BLOCK}.conv_pwl",
    "project.norm": f"{_BLOCK}.bn3",
}

_MAXIMUM = "global_pool='max'"
_PLACES = frozenset({"config.json", "arch", "args", "hyper_parameters", "checkpoint"})
"""Where a file may name a network in timm's words."""


def _configured(spec: NetworkSpec, texts: Mapping[str, str]) -> Configured:
    from converters.dialects._timm_config import configured  # noqa: PLC0415 - few files say anything in timm's words

    return configured(spec, texts)


def _companions(spec: NetworkSpec) -> Mapping[str, str]:
    from converters.dialects._timm_folder import companions  # noqa: PLC0415 - of its folders only

    return companions(spec, is_tf=True)


def _companions_symmetric(spec: NetworkSpec) -> Mapping[str, str]:
    from converters.dialects._timm_folder import companions  # noqa: PLC0415 - as above

    return companions(spec, is_tf=False)


def _says_tf(texts: Mapping[str, str]) -> bool:
    if _PLACES.isdisjoint(texts):
        return False
    from converters.dialects._timm_statements import says_tf  # noqa: PLC0415 - as above

    return says_tf(texts)


def _says_symmetric(texts: Mapping[str, str]) -> bool:
    if _PLACES.isdisjoint(texts):
        return False
    from converters.dialects._timm_statements import says_symmetric  # noqa: PLC0415 - as above

    return says_symmetric(texts)


def _objection(texts: Mapping[str, str]) -> str | None:
    from converters.dialects._timm_statements import objection  # noqa: PLC0415 - as above

    return objection(texts)


TIMM = Dialect(
    name="timm",
    title="timm (tf_ models)",
    layers=MappingProxyType(
        {
            "stem.conv": "conv_stem",
            "stem.norm": "bn1",
            "head.conv": "conv_head",
            "head.norm": "bn2",
            "classifier": "classifier",
        }
    ),
    blocks=MappingProxyType(
        {
            MBCONV: _MBCONV,
            COND: {"routing": f"{_BLOCK}.routing_fn", **_MBCONV},
            MBCONV_PLAIN: {  # its projection is called as the expansion of the others
                "depthwise.conv": f"{_BLOCK}.conv_dw",
                "depthwise.norm": f"{_BLOCK}.bn1",
                **_SQUEEZE_EXCITE,
                "project.conv": f"{_BLOCK}.conv_pw",
                "project.norm": f"{_BLOCK}.bn2",
            },
            FUSED: {
                "expand.conv": f"{_BLOCK}.conv_exp",
                "expand.norm": f"{_BLOCK}.bn1",
                "project.conv": f"{_BLOCK}.conv_pwl",
                "project.norm": f"{_BLOCK}.bn2",
            },
            FUSED_PLAIN: {
                "project.conv": f"{_BLOCK}.conv",
                "project.norm": f"{_BLOCK}.bn1",
            },
        }
    ),
    separator=".",
    leaves=TORCH_LEAVES,
    axes=TORCH_AXES,
    ignorable=TORCH_IGNORABLE,
    norm_counter="num_batches_tracked",
    companions=_companions,
    configured=_configured,
    hint=_says_tf,
    objection=_objection,
    caution=(
        "Nothing in the file tells which of timm's two kinds of networks it holds, a tf_efficientnet (SAME padding, "
        "epsilon 1e-3) or an efficientnet without tf_ (symmetric padding, epsilon 1e-5): their tensors have the same "
        "names; took tf_. If the model's name in timm does not begin with tf_, all logits are wrong, and nothing else "
        "will say it: use --from timm-symmetric then, and --from timm where it does."
    ),
    semantics=(Semantics(padding=Padding.SAME, epsilon=1e-3, decay=0.9, maximum_pooling=_MAXIMUM),),
)

TIMM_SYMMETRIC = replace(
    TIMM,
    name="timm-symmetric",
    title="timm (models without tf_)",
    companions=_companions_symmetric,
    hint=_says_symmetric,
    semantics=(
        Semantics(padding=Padding.SYMMETRIC, epsilon=1e-5, decay=0.9, expects=IMAGENET, maximum_pooling=_MAXIMUM),
    ),
)
