"""The state_dict of this project's PyTorch networks: canonical paths, torch's own leaves and layouts."""

from converters.dialects.dialect import TORCH_AXES, TORCH_IGNORABLE, TORCH_LEAVES, Dialect
from converters.dialects.native import CANONICAL_BLOCKS, CANONICAL_LAYERS

EFFNET_TORCH = Dialect(
    name="effnet-torch",
    title="state_dict of effnet_torch",
    layers=CANONICAL_LAYERS,
    blocks=CANONICAL_BLOCKS,
    separator=".",
    leaves=TORCH_LEAVES,
    axes=TORCH_AXES,
    has_folded=True,
    ignorable=TORCH_IGNORABLE,
    norm_counter="num_batches_tracked",
)
