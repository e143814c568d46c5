"""Names of the intermediate results that both backends give, in forward order.

| name | value, (N, H, W, C) in TensorFlow, (N, C, H, W) in PyTorch |
|---|---|
| `stem` | after the stem's activation |
| `blocks.I.expand`, `blocks.I.depthwise` | inside a block, after the activation; a fused block has no `depthwise` |
| `blocks.I.squeeze_excite` | the rescaled depthwise output (the official `expansion_output`) |
| `blocks.I.project` | before the residual; after a norm, and in a fused block without expansion an activation |
| `blocks.I` | the block's output |
| `reduction_1` .. `reduction_5` | the last output before the resolution halves again, and the last block's |
| `head` | after the head's activation |
| `pooled` | the global average, or maximum where the definition says so, (N, C) |
| `hidden.I` | after a hidden layer between pooling and classifier, and its activation; (N, C) |
| `logits` | (N, classes) |

A network without classifier ends with `pooled`, one without head with its last block.
"""

from __future__ import annotations

from effnet_core.spec import Block, FusedMBConv, NetworkSpec


def endpoints(spec: NetworkSpec) -> tuple[str, ...]:
    """Every endpoint that is a value of its own (the reductions name some of them again)."""
    names = ["stem"]
    for index, block in enumerate(spec.blocks):
        names += [f"blocks.{index}.{part}" for part in block_parts(block)]
        names.append(f"blocks.{index}")
    if spec.head is not None:
        names += ["head", "pooled"]
    if spec.classifier is not None:
        names += [*(f"hidden.{index}" for index in range(len(spec.classifier.hidden))), "logits"]
    return tuple(names)


def block_parts(block: Block) -> tuple[str, ...]:
    """The parts of a block, in forward order."""
    is_fused = isinstance(block, FusedMBConv)
    parts = {
        "expand": block.has_expansion,
        "depthwise": not is_fused,
        "squeeze_excite": not is_fused and block.squeeze_channels is not None,
        "project": True,
    }
    return tuple(part for part, exists in parts.items() if exists)


def reductions(spec: NetworkSpec) -> dict[str, str]:
    """The endpoint that each `reduction_K` names: K halvings of the input have happened at its output.

    Source: efficientnet_model.py, Model.call: a block is a reduction if it is the last or the next one has a stride;
    the stem is one if the first block has a stride.
    """
    outputs = ["stem", *(f"blocks.{index}" for index in range(len(spec.blocks)))]
    ends = [outputs[index] for index, block in enumerate(spec.blocks) if block.stride > 1] + [outputs[-1]]
    return {f"reduction_{number}": name for number, name in enumerate(ends, start=1)}
