"""The state_dict of torchvision's ResNet-50: another architecture, whose names look like some of ours."""

from collections.abc import Iterator

import numpy as np

from converters.formats.base import Array

BLOCKS = (3, 4, 6, 3)


def resnet50() -> dict[str, Array]:
    """Names and shapes of all 320 tensors; the numbers are zeros, of which no memory is taken."""
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in _tensors()}


def _tensors() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _conv_norm("conv1", "bn1", 7, 3, 64)
    inputs = 64
    for stage, repeats in enumerate(BLOCKS):
        width = 64 << stage
        for repeat in range(repeats):
            block = f"layer{stage + 1}.{repeat}"
            yield from _conv_norm(f"{block}.conv1", f"{block}.bn1", 1, inputs, width)
            yield from _conv_norm(f"{block}.conv2", f"{block}.bn2", 3, width, width)
            yield from _conv_norm(f"{block}.conv3", f"{block}.bn3", 1, width, 4 * width)
            if repeat == 0:
                yield from _conv_norm(f"{block}.downsample.0", f"{block}.downsample.1", 1, inputs, 4 * width)
            inputs = 4 * width
    yield "fc.weight", (1000, inputs)
    yield "fc.bias", (1000,)


def _conv_norm(conv: str, norm: str, kernel: int, inputs: int, outputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{conv}.weight", (outputs, inputs, kernel, kernel)
    for leaf in ("weight", "bias", "running_mean", "running_var"):
        yield f"{norm}.{leaf}", (outputs,)
    yield f"{norm}.num_batches_tracked", ()
