"""The building bricks of every block: convolutions that pad as the definition says, normalisation, drop-connect.

Shapes: N images, C channels, H rows, W columns; images and features are (N, C, H, W).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from effnet_core import Activation, Norm, Padding


class PaddedConv2d(nn.Conv2d):
    """A square convolution with the padding policy of a network, for any input size.

    Amounts that are the same before and after and do not depend on the input (SYMMETRIC, or SAME with stride 1 and an
    odd kernel) go to the convolution itself. The others are computed from the actual size at every call.

    Source: `effnet_core.padding`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
        padding: Padding = Padding.SAME,
    ) -> None:
        fixed = padding is Padding.SYMMETRIC or (stride == 1 and kernel_size % 2 == 1)
        amount = (kernel_size - 1) // 2 if fixed else 0
        super().__init__(  # pyright: ignore[reportUnknownMemberType]  # torch does not annotate device and dtype
            in_channels, out_channels, kernel_size, stride, amount, groups=groups, bias=bias
        )
        self.pads_first = not fixed

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, out, ceil(H / stride), ceil(W / stride)) with SAME."""
        if self.pads_first:
            input = padded(input, kernel_size=self.kernel_size[0], stride=self.stride[0], padding=Padding.SAME)
        return super().forward(input)


def padded(x: Tensor, *, kernel_size: int, stride: int, padding: Padding) -> Tensor:
    """The image with zeros around it, as a square convolution that does not pad itself needs it."""
    if padding is Padding.SYMMETRIC:
        return functional.pad(x, [(kernel_size - 1) // 2] * 4)
    top, bottom = same_amounts(x.shape[2], kernel_size=kernel_size, stride=stride)
    left, right = same_amounts(x.shape[3], kernel_size=kernel_size, stride=stride)
    return functional.pad(x, (left, right, top, bottom))


def same_amounts(size: int, *, kernel_size: int, stride: int) -> tuple[int, int]:
    """Pixels before and after a side of `size` pixels with SAME: the odd one goes after.

    The padded side is (output - 1) * stride + kernel, whatever the size. Sizes that stay symbols under torch.export and
    torch.compile thus stay short from layer to layer, and with kernel >= stride no branch depends on them.
    """
    output = (size + stride - 1) // stride
    total = (output - 1) * stride + kernel_size - size
    if kernel_size < stride:
        total = max(total, 0)
    return total // 2, total - total // 2


def batch_norm(channels: int, norm: Norm) -> nn.BatchNorm2d:
    """Batch normalisation over (N, H, W) for one channel each.

    torch weighs the new statistic, the definition the old one: momentum = 1 - decay, here and nowhere else. torch
    updates the running variance with the unbiased variance of the batch, n / (n - 1) times the biased one, which Keras
    and the official code take, n = N * H * W. That concerns only the statistics gathered in training: gradients and
    outputs in training use the biased variance everywhere. `effnet_torch.norms.RunningVariance` chooses.
    """
    return nn.BatchNorm2d(channels, eps=norm.epsilon, momentum=1 - norm.decay)


def activation_layer(activation: Activation) -> nn.Module:
    """The non-linearity as a module without state."""
    match activation:
        case Activation.SWISH:
            return nn.SiLU()
        case Activation.RELU6:
            return nn.ReLU6()
        case Activation.RELU:
            return nn.ReLU()
        case Activation.TANH:
            return nn.Tanh()
        case Activation.SIGMOID:
            return nn.Sigmoid()


class ConvNorm(nn.Module):
    """Convolution, normalisation, and an activation unless None is given: `conv`, `norm`.

    The convolution has no bias; where the normalisation is folded (None), it has one, and there is no `norm`.
    """

    def __init__(self, conv: PaddedConv2d, *, norm: Norm | None, activation: Activation | None) -> None:
        super().__init__()
        self.conv = conv
        self.norm = None if norm is None else batch_norm(conv.out_channels, norm)
        self.activation = None if activation is None else activation_layer(activation)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, out, H', W')."""
        x = self.conv(x)
        x = x if self.norm is None else self.norm(x)
        return x if self.activation is None else self.activation(x)


class GlobalAverage(nn.Module):
    """The mean over height and width: (N, C), or (N, C, 1, 1) with `keepdim`."""

    def __init__(self, *, keepdim: bool = False) -> None:
        super().__init__()
        self.keepdim = keepdim

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C) or (N, C, 1, 1)."""
        return x.mean((2, 3), keepdim=self.keepdim)


class GlobalMaximum(nn.Module):
    """The largest value over height and width."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C)."""
        return x.amax((2, 3))


class SqueezeExcite(nn.Module):
    """Rescales every channel by a gate computed from the means of all channels: `reduce`, `expand`.

    Source: Hu et al., Squeeze-and-Excitation Networks (2018), section 3.
    """

    def __init__(self, channels: int, *, squeeze_channels: int, activation: Activation) -> None:
        super().__init__()
        self.average = GlobalAverage(keepdim=True)
        self.reduce = PaddedConv2d(channels, squeeze_channels, kernel_size=1, bias=True)
        self.activation = activation_layer(activation)
        self.expand = PaddedConv2d(squeeze_channels, channels, kernel_size=1, bias=True)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        gate = self.gate(self.expand(self.activation(self.reduce(self.average(x)))))  # (N, C, 1, 1)
        return x * gate


class DropConnect(nn.Module):
    """In training, drops a branch for whole samples and divides what is left by the survival probability.

    Source: Huang et al., Deep Networks with Stochastic Depth (2016); efficientnet tpu code, utils.py, drop_connect.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape; in evaluation the same values."""
        if not self.training:
            return branch
        survival = 1 - self.rate
        survives = branch.new_empty((branch.shape[0], 1, 1, 1)).bernoulli_(survival)
        return branch / survival * survives

    def extra_repr(self) -> str:
        """The rate, for printing."""
        return f"rate={self.rate:g}"
