"""Canonical names and TensorFlow's layouts: the canonical state as it is."""

from types import MappingProxyType

from converters.dialects.dialect import COND, FUSED, FUSED_PLAIN, MBCONV, MBCONV_PLAIN, Dialect
from effnet_core import Role
from effnet_core.parameters import LEAVES

CANONICAL_LAYERS = MappingProxyType(
    {part: part for part in ("stem.conv", "stem.norm", "head.conv", "head.norm", "classifier")}
    | {"hidden": "hidden.{hidden}"}
)
_EXPAND = ("expand.conv", "expand.norm")
_DEPTHWISE = ("depthwise.conv", "depthwise.norm", "squeeze_excite.reduce", "squeeze_excite.expand")
_PROJECT = ("project.conv", "project.norm")
CANONICAL_BLOCKS = MappingProxyType(
    {
        kind: MappingProxyType({part: f"blocks.{{index}}.{part}" for part in parts})
        for kind, parts in (
            (MBCONV, _EXPAND + _DEPTHWISE + _PROJECT),
            (MBCONV_PLAIN, _DEPTHWISE + _PROJECT),
            (FUSED, _EXPAND + _PROJECT),
            (FUSED_PLAIN, _PROJECT),
            (COND, ("routing", *_EXPAND, *_DEPTHWISE, *_PROJECT)),
        )
    }
)

NATIVE = Dialect(
    name="native",
    title="effnet's canonical names, TensorFlow's layouts",
    layers=CANONICAL_LAYERS,
    blocks=CANONICAL_BLOCKS,
    separator=".",
    leaves=MappingProxyType({role: LEAVES[role] for role in Role}),
    axes=MappingProxyType({}),
    has_folded=True,
)
