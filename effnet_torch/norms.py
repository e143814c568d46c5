"""Normalisations in place of torch's own: frozen ones, and ones whose running variance is Keras'.

Their tensors have the names and shapes of the old; they are new, so that weights are to be loaded after the exchange.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from effnet_core import InvalidOption, NormMode


class RunningVariance(StrEnum):
    """Which variance of a batch the running variance follows in training, for n = N * H * W values of a channel."""

    UNBIASED = "unbiased"
    """Sum of squared deviations / (n - 1): torch's own normalisation."""
    BIASED = "biased"
    """Sum of squared deviations / n: Keras and the official code, exactly."""

    @classmethod
    def _missing_(cls, value: object) -> RunningVariance:
        raise InvalidOption(f"There is no running variance named {value!r}; expected one of {', '.join(cls)}.")


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that stays in evaluation mode: it uses the moving statistics in training too."""

    def train(self, mode: bool = True) -> Self:
        """Whatever the mode of the model, evaluation."""
        return super().train(False)


class FrozenBatchNorm1d(nn.BatchNorm1d):
    """The same for (N, C)."""

    def train(self, mode: bool = True) -> Self:
        """Whatever the mode of the model, evaluation."""
        return super().train(False)


class BiasedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose running variance follows the biased variance of the batch."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return _biased(self, input) if self.training else super().forward(input)


class BiasedBatchNorm1d(nn.BatchNorm1d):
    """The same for (N, C)."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C) -> the same shape."""
        return _biased(self, input) if self.training else super().forward(input)


def exchange_norms(model: nn.Module, *, norm_mode: NormMode, running_variance: RunningVariance) -> None:
    """Put the normalisations that are asked for in the place of torch's; frozen gamma and beta get no gradient."""
    if norm_mode is NormMode.TRAINED and running_variance is RunningVariance.UNBIASED:
        return
    frozen = norm_mode is NormMode.FROZEN
    spatial = FrozenBatchNorm2d if frozen else BiasedBatchNorm2d
    flat = FrozenBatchNorm1d if frozen else BiasedBatchNorm1d
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d | nn.BatchNorm1d):
                kind = spatial if isinstance(child, nn.BatchNorm2d) else flat
                norm = kind(child.num_features, eps=child.eps, momentum=child.momentum)
                setattr(parent, name, norm.eval().requires_grad_(False) if frozen else norm)


def _biased(norm: nn.BatchNorm2d | nn.BatchNorm1d, input: Tensor) -> Tensor:
    """Normalise with the statistics of the batch, which torch gives as running ones of momentum 1."""
    mean, variance, count = norm.running_mean, norm.running_var, norm.num_batches_tracked
    if mean is None or variance is None or norm.momentum is None:
        raise InvalidOption("A normalisation with biased running variance needs running statistics and a momentum.")
    batch_mean, batch_variance = torch.zeros_like(mean), torch.zeros_like(variance)
    output = functional.batch_norm(
        input, batch_mean, batch_variance, norm.weight, norm.bias, training=True, momentum=1.0, eps=norm.eps
    )
    values = input.numel() // input.shape[1]
    with torch.no_grad():
        mean.lerp_(batch_mean, norm.momentum)
        variance.lerp_(batch_variance * ((values - 1) / values), norm.momentum)
        if count is not None:
            count.add_(1)
    return output
