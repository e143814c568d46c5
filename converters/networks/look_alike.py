"""Networks that look like an EfficientNet and are none."""

from __future__ import annotations

from effnet_core import CheckpointMismatch, FusedMBConv, NetworkSpec

_PART = ".squeeze_excite."


def look_alike(spec: NetworkSpec, mismatch: CheckpointMismatch) -> str | None:
    """What the network does that differs from `spec` by `mismatch`, to go on a sentence; None: nothing known."""
    only_squeezes = all(_PART in item.name for item in mismatch.misshapen)
    if mismatch.missing or mismatch.unexpected or not mismatch.misshapen or not only_squeezes:
        return None
    found = {item.name: item.found for item in mismatch.misshapen}
    for index, block in enumerate(spec.blocks):
        if isinstance(block, FusedMBConv) or not block.has_expansion:
            continue
        if found.get(f"blocks.{index}{_PART}reduce.bias") != (block.expanded_channels // 4,):
            return None
    return (
        "squeezes each block to a quarter of its expanded channels, where EfficientNet takes a quarter of its input "
        "channels (Tan and Le, 2019). It is the look-alike from a tutorial, whose blocks have their activation behind "
        "the projection, too: no EfficientNet"
    )
