"""Random weights that make a network's outputs depend on its input and on every tensor.

The published initialisation gives almost constant outputs, and any comparison of them passes.
"""

from __future__ import annotations

from math import prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet_core import NetworkSpec, Parameter, Role, parameters


def lively_state(spec: NetworkSpec, *, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """A canonical state: He-scaled kernels, gammas around 1 with one in ten negative, statistics far from (0, 1)."""
    random = np.random.default_rng(seed)
    return {item.name: _values(item, random).astype(np.float32) for item in parameters(spec)}


def images(count: int, height: int, width: int, *, channels: int = 3, seed: int = 0) -> NDArray[np.float32]:
    """Standard normal images, (N, H, W, C)."""
    shape = (count, height, width, channels)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _values(item: Parameter, random: np.random.Generator) -> NDArray[Any]:
    match item.role:
        case Role.CONV | Role.DENSE | Role.ROUTING | Role.EXPERTS:
            fan_in = prod((item.expert_shape or item.shape)[:-1])
            return random.normal(0, sqrt(2 / fan_in), item.shape)
        case Role.DEPTHWISE | Role.DEPTHWISE_EXPERTS:
            fan_in = prod((item.expert_shape or item.shape)[:2])
            return random.normal(0, sqrt(2 / fan_in), item.shape)
        case Role.GAMMA:
            sign = np.where(random.random(item.shape) < 0.1, -1, 1)
            return sign * random.normal(1, 0.2, item.shape)
        case Role.VARIANCE:
            return random.uniform(0.4, 1.2, item.shape)
        case Role.BIAS | Role.BETA | Role.MEAN:
            return random.normal(0, 0.2, item.shape)


def settled_state(spec: NetworkSpec, *, seed: int = 0, side: int = 96) -> dict[str, NDArray[np.float32]]:
    """The same with the statistics of a batch, a little shaken: what whole networks need to be well-conditioned.

    With statistics that have nothing to do with the activations, a deep network amplifies rounding ten thousand times.
    """
    import torch  # noqa: PLC0415  # the others here need no framework

    from effnet_torch import create_model, read_state  # noqa: PLC0415  # as above

    random = np.random.default_rng(seed)
    model = create_model(spec, lively_state(spec, seed=seed), drop_connect_rate=0.0, dropout_rate=0.0).train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            module.momentum = 1.0
    batch = images(4, side, side, channels=spec.stem.in_channels, seed=seed + 1)
    with torch.no_grad():
        model(torch.from_numpy(batch).permute(0, 3, 1, 2))  # (N, H, W, C) -> (N, C, H, W)
    state = read_state(model, spec)
    for name, array in state.items():
        if name.endswith(".variance"):
            # A channel that hardly varied in the batch would have its rounding divided by next to nothing.
            state[name] = (array * random.uniform(0.8, 1.25, array.shape) + 0.2 * array.mean()).astype(np.float32)
        elif name.endswith(".mean"):
            shake = 0.1 * np.sqrt(state[f"{name.removesuffix('mean')}variance"]) * random.standard_normal(array.shape)
            state[name] = (array + shake).astype(np.float32)
    return state
