"""The network as a program of `torch.export`: a graph that runs without this project's code.

Tensors are (N, C, H, W). Source: PyTorch's documentation, torch.export.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from effnet_core import NetworkSpec
from effnet_torch.model import create_model


def write_program(
    spec: NetworkSpec, state: Mapping[str, NDArray[Any]], path: Path, *, texts: Mapping[str, str]
) -> None:
    """Export the network in evaluation mode, for any batch, height and width, and save it as `path` (`.pt2`).

    The program takes normalised images float32 (N, C, H, W), both sides at least `smallest_side(spec)`, and gives
    logits (N, classes), or features. `texts` travel in the file and come back through
    `torch.export.load(path, extra_files=...)`. Raises `CheckpointMismatch` for weights that do not fit.
    """
    model = create_model(spec, state).eval()
    smallest = smallest_side(spec)
    side = max(spec.preprocessing.resolution, smallest + 1)
    example = torch.zeros(2, spec.stem.in_channels, side, side)
    height, width = (torch.export.Dim(name, min=smallest) for name in ("height", "width"))
    sizes = {0: torch.export.Dim("batch"), 2: height, 3: width}
    with torch.no_grad():
        program = torch.export.export(model, (example,), dynamic_shapes=(sizes,))
    # By way of memory: PyTorch's own writer says of a full disk what no one understands.
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files=dict(texts))
    path.write_bytes(buffer.getbuffer())


def smallest_side(spec: NetworkSpec) -> int:
    """Pixels of the shortest side that a program takes.

    An exported graph is made for results of more than one pixel: those of one are broadcast in other ways.
    """
    return prod(stride for stride in (spec.stem.stride, *(block.stride for block in spec.blocks))) + 1
