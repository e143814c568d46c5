"""Layers and variables of this project's Keras networks, as HDF5 files and object-based checkpoints name them."""

from types import MappingProxyType

from converters.dialects.dialect import Dialect
from converters.dialects.native import CANONICAL_BLOCKS, CANONICAL_LAYERS
from effnet_core import Role

KERAS_LEAVES = MappingProxyType(
    {
        Role.CONV: "kernel",
        Role.DEPTHWISE: "depthwise_kernel",
        Role.DENSE: "kernel",
        Role.ROUTING: "kernel",
        Role.EXPERTS: "kernel",
        Role.DEPTHWISE_EXPERTS: "depthwise_kernel",
        Role.BIAS: "bias",
        Role.GAMMA: "gamma",
        Role.BETA: "beta",
        Role.MEAN: "moving_mean",
        Role.VARIANCE: "moving_variance",
    }
)
KERAS_3_DEPTHWISE = "kernel"
"""What Keras 3 calls a depthwise kernel."""

EFFNET_KERAS = Dialect(
    name="effnet-keras",
    title="layers of effnet_tf",
    layers=CANONICAL_LAYERS,
    blocks=CANONICAL_BLOCKS,
    separator="/",
    leaves=KERAS_LEAVES,
    axes=MappingProxyType({}),
    has_folded=True,
    depthwise_alternative=KERAS_3_DEPTHWISE,
)
