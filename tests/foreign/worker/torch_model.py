"""What the PyTorch libraries have in common: lively weights, logits, files."""

from __future__ import annotations

from math import prod, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

torch.set_num_threads(1)  # narrow networks lose more by waiting for threads than they gain


class TorchModel:
    """A network of a library; the module of each library says in `build` how it is made."""

    module: nn.Module

    def __init__(self, network: dict[str, Any]) -> None:
        self.network = network
        self.module = self.build(network).eval()

    @staticmethod
    def build(network: dict[str, Any]) -> nn.Module:
        """The library's network; `width` and `depth` of a narrow one are coefficients."""
        raise NotImplementedError

    @classmethod
    def shapes(cls, network: dict[str, Any]) -> dict[str, list[int]]:
        with torch.device("meta"):
            return {name: list(tensor.shape) for name, tensor in cls.build(network).state_dict().items()}

    @staticmethod
    def images(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return random.standard_normal(shape)

    @torch.no_grad()
    def liven(self, seed: int) -> None:
        """He-scaled kernels, gammas around 1 with one in ten negative, and the statistics of a batch of images.

        The variances are a tenth larger: with exactly those of the batch, rounding errors grow from block to block more
        than in a trained network.
        """
        random = np.random.default_rng(seed)
        norms = [module for module in self.module.modules() if isinstance(module, _BatchNorm)]
        for name, tensor in self.module.named_parameters():
            owner = self.module.get_submodule(name.rpartition(".")[0])
            tensor.copy_(torch.from_numpy(_values(owner, name, tuple(tensor.shape), random)))
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.train()
            norm.momentum = 1.0
        self.module.double()(nchw(self.images(random, (8, 64, 64, 3))).double())
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.running_var *= 1.1
            norm.num_batches_tracked.fill_(seed + 7)
            norm.momentum = momentum
        self.module.float().eval()

    @torch.no_grad()
    def logits(self, images: np.ndarray, dtype: str) -> np.ndarray:
        kind = getattr(torch, dtype)
        result = self.module.to(kind)(nchw(images).to(kind))
        self.module.float()
        for output in ("logits", "pooler_output"):
            result = getattr(result, output, result)
        return result.numpy()

    def save(self, folder: Path) -> dict[str, Path]:
        path = folder / "network.pth"
        torch.save(self.module.state_dict(), path)
        return {"pth": path}

    def load(self, path: Path) -> None:
        self.module.load_state_dict(torch.load(path, weights_only=True), strict=True)


def nchw(images: np.ndarray) -> torch.Tensor:
    """(N, H, W, C) -> (N, C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def _values(owner: nn.Module, name: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    if isinstance(owner, _BatchNorm) and name.endswith("weight"):
        return np.where(random.random(shape) < 0.1, -1, 1) * random.normal(1, 0.2, shape)
    if name.endswith("bias"):
        return random.normal(0, 0.2, shape)
    kernel = getattr(owner, "weight_shape", shape)  # timm keeps the kernels of a CondConv2d flat
    return random.normal(0, sqrt(2 / prod(kernel[1:])), shape)
