"""Conditional convolutions: every image of a batch has kernels of its own, mixed from several experts' kernels.

kernel(image) = sum over experts of routing(image, expert) * kernel(expert). Both convolutions here hold the experts'
kernels as the rows of one `weight`, each flattened from torch's order (out, in, height, width), and take the routing
as a second input. The batch may have any size.

Shapes: N images, E experts, C channels, H rows, W columns, K elements of a kernel.

Source: Yang et al., CondConv: Conditionally Parameterized Convolutions for Efficient Inference (2019), section 3.
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional

from effnet_core import Activation, Norm, Padding
from effnet_torch.layers import activation_layer, batch_norm, padded


def _biased(x: Tensor, bias: Tensor | None) -> Tensor:
    return x if bias is None else x + bias[:, None, None]  # (N, C, H, W)


class CondPointwiseConv2d(nn.Module):
    """A 1x1 convolution, one kernel for each image; `weight` is (E, out * in), `bias`, if any, the same for all."""

    def __init__(self, in_channels: int, out_channels: int, *, num_experts: int, bias: bool = False) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.weight = nn.Parameter(torch.empty(num_experts, out_channels * in_channels))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None

    def forward(self, x: Tensor, routing: Tensor) -> Tensor:
        """(N, C, H, W) and (N, E) -> (N, out, H, W)."""
        images, _, height, width = x.shape
        kernels = (routing @ self.weight).reshape(images, self.out_channels, self.in_channels)  # (N, K) -> (N, out, in)
        x = torch.bmm(kernels, x.flatten(2)).reshape(images, self.out_channels, height, width)
        return _biased(x, self.bias)

    def extra_repr(self) -> str:
        """Channels and experts, for printing."""
        return f"{self.in_channels}, {self.out_channels}, num_experts={self.weight.shape[0]}"


class CondDepthwiseConv2d(nn.Module):
    """A depthwise convolution, one kernel for each image; `weight` is (E, C * kernel * kernel), `bias` as above."""

    def __init__(
        self,
        channels: int,
        *,
        kernel_size: int,
        stride: int,
        padding: Padding,
        num_experts: int,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.out_channels = channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.weight = nn.Parameter(torch.empty(num_experts, channels * kernel_size**2))
        self.bias = nn.Parameter(torch.empty(channels)) if bias else None

    def forward(self, x: Tensor, routing: Tensor) -> Tensor:
        """(N, C, H, W) and (N, E) -> (N, C, ceil(H / stride), ceil(W / stride)) with SAME."""
        x = padded(x, kernel_size=self.kernel_size, stride=self.stride, padding=self.padding)
        # torch.compile cannot divide a convolution into a number of groups that depends on the batch; an empty batch
        # would make 0 groups, which no convolution has.
        is_compiled = torch.compiler.is_compiling() and not torch.compiler.is_exporting()
        by_experts = is_compiled or x.shape[0] == 0
        return _biased(self._by_experts(x, routing) if by_experts else self._by_images(x, routing), self.bias)

    def _by_images(self, x: Tensor, routing: Tensor) -> Tensor:
        """Mix the kernels, then convolve the images side by side, as the channels of one image."""
        images, channels, height, width = x.shape
        kernels = (routing @ self.weight).reshape(
            -1, 1, self.kernel_size, self.kernel_size
        )  # (N, K) -> (N * C, 1, ...)
        x = x.reshape(1, images * channels, height, width)
        x = functional.conv2d(x, kernels, stride=self.stride, groups=images * channels)
        return x.reshape(images, channels, *x.shape[2:])

    def _by_experts(self, x: Tensor, routing: Tensor) -> Tensor:
        """Convolve with every expert, then mix the results: the same by linearity, at several times the cost."""
        kernels = self.weight.reshape(-1, self.out_channels, 1, self.kernel_size, self.kernel_size)
        results = (functional.conv2d(x, kernel, stride=self.stride, groups=self.out_channels) for kernel in kernels)
        shares = routing.t()[:, :, None, None, None]  # (N, E) -> (E, N, 1, 1, 1)
        return reduce(torch.add, (share * result for share, result in zip(shares, results, strict=True)))

    def extra_repr(self) -> str:
        """Channels, window, stride and experts, for printing."""
        return (
            f"{self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"num_experts={self.weight.shape[0]}"
        )


class CondConvNorm(nn.Module):
    """Conditional convolution, normalisation, and an activation unless None is given: `conv`, `norm`.

    As in `ConvNorm`, a bias stands in place of a normalisation that is folded.
    """

    def __init__(
        self, conv: CondPointwiseConv2d | CondDepthwiseConv2d, *, norm: Norm | None, activation: Activation | None
    ) -> None:
        super().__init__()
        self.conv = conv
        self.norm = None if norm is None else batch_norm(conv.out_channels, norm)
        self.activation = None if activation is None else activation_layer(activation)

    def forward(self, x: Tensor, routing: Tensor) -> Tensor:
        """(N, C, H, W) and (N, E) -> (N, out, H', W')."""
        x = self.conv(x, routing)
        x = x if self.norm is None else self.norm(x)
        return x if self.activation is None else self.activation(x)
