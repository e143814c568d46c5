"""One module per kind of block, chosen by the type of its definition.

To add a kind: a dataclass in `effnet_core`, a module here with `forward(x, record=None)`, a row in `build_block`. Every
module takes (N, C, H, W), gives (N, out, H', W'), and records its parts as `PATH.expand` and so on, its output as
`PATH`. Parts that the definition does not have are None.
"""

from __future__ import annotations

from torch import Tensor, nn

from effnet_core import Block, CondMBConv, FusedMBConv, MBConv, Norm, Padding
from effnet_torch.condconv import CondConvNorm, CondDepthwiseConv2d, CondPointwiseConv2d
from effnet_torch.layers import ConvNorm, DropConnect, GlobalAverage, PaddedConv2d, SqueezeExcite
from effnet_torch.recording import Recorder


class MBConvBlock(nn.Module):
    """Expand 1x1, depthwise, squeeze-and-excite, project 1x1, and the residual."""

    def __init__(self, block: MBConv, *, path: str, norm: Norm | None, padding: Padding) -> None:
        super().__init__()
        expanded, activation = block.expanded_channels, block.activation
        self.path = path
        self.has_residual = block.has_residual
        self.expand: ConvNorm | None = None
        if block.has_expansion:
            conv = PaddedConv2d(block.in_channels, expanded, kernel_size=1, bias=norm is None)
            self.expand = ConvNorm(conv, norm=norm, activation=activation)
        conv = PaddedConv2d(
            expanded,
            expanded,
            kernel_size=block.kernel_size,
            stride=block.stride,
            groups=expanded,
            bias=norm is None,
            padding=padding,
        )
        self.depthwise = ConvNorm(conv, norm=norm, activation=activation)
        self.squeeze_excite = _squeeze_excite(block)
        conv = PaddedConv2d(expanded, block.out_channels, kernel_size=1, bias=norm is None)
        self.project = ConvNorm(conv, norm=norm, activation=None)
        self.drop_connect = _drop_connect(block)

    def forward(self, x: Tensor, record: Recorder | None = None) -> Tensor:
        """(N, C, H, W) -> (N, out, H', W')."""
        record = Recorder() if record is None else record
        residual = x
        if self.expand is not None:
            x = self.expand(x)
            record.keep(f"{self.path}.expand", x)
        x = self.depthwise(x)
        record.keep(f"{self.path}.depthwise", x)
        if self.squeeze_excite is not None:
            x = self.squeeze_excite(x)
            record.keep(f"{self.path}.squeeze_excite", x)
        x = self.project(x)
        record.keep(f"{self.path}.project", x)
        if self.has_residual:
            x = residual + (x if self.drop_connect is None else self.drop_connect(x))
        record.keep(self.path, x)
        return x


class FusedMBConvBlock(nn.Module):
    """Expand k x k with the stride, project 1x1, and the residual.

    Without an expansion the projection is k x k, has the stride, and an activation before the residual.
    """

    def __init__(self, block: FusedMBConv, *, path: str, norm: Norm | None, padding: Padding) -> None:
        super().__init__()
        self.path = path
        self.has_residual = block.has_residual
        self.expand: ConvNorm | None = None
        spatial = PaddedConv2d(
            block.in_channels,
            block.expanded_channels if block.has_expansion else block.out_channels,
            kernel_size=block.kernel_size,
            stride=block.stride,
            bias=norm is None,
            padding=padding,
        )
        with_activation = ConvNorm(spatial, norm=norm, activation=block.activation)
        if block.has_expansion:
            self.expand = with_activation
            conv = PaddedConv2d(block.expanded_channels, block.out_channels, kernel_size=1, bias=norm is None)
            self.project = ConvNorm(conv, norm=norm, activation=None)
        else:
            self.project = with_activation
        self.drop_connect = _drop_connect(block)

    def forward(self, x: Tensor, record: Recorder | None = None) -> Tensor:
        """(N, C, H, W) -> (N, out, H', W')."""
        record = Recorder() if record is None else record
        residual = x
        if self.expand is not None:
            x = self.expand(x)
            record.keep(f"{self.path}.expand", x)
        x = self.project(x)
        record.keep(f"{self.path}.project", x)
        if self.has_residual:
            x = residual + (x if self.drop_connect is None else self.drop_connect(x))
        record.keep(self.path, x)
        return x


class CondMBConvBlock(nn.Module):
    """An MBConv whose expanding, depthwise and projecting kernels are mixed for each image from experts' kernels."""

    def __init__(self, block: CondMBConv, *, path: str, norm: Norm | None, padding: Padding) -> None:
        super().__init__()
        expanded, activation, experts = block.expanded_channels, block.activation, block.num_experts
        self.path = path
        self.has_residual = block.has_residual
        self.routing_average = GlobalAverage()
        self.routing = nn.Linear(block.in_channels, experts)
        self.routing_sigmoid = nn.Sigmoid()
        self.expand: CondConvNorm | None = None
        if block.has_expansion:
            conv = CondPointwiseConv2d(block.in_channels, expanded, num_experts=experts, bias=norm is None)
            self.expand = CondConvNorm(conv, norm=norm, activation=activation)
        conv = CondDepthwiseConv2d(
            expanded,
            kernel_size=block.kernel_size,
            stride=block.stride,
            padding=padding,
            num_experts=experts,
            bias=norm is None,
        )
        self.depthwise = CondConvNorm(conv, norm=norm, activation=activation)
        self.squeeze_excite = _squeeze_excite(block)
        conv = CondPointwiseConv2d(expanded, block.out_channels, num_experts=experts, bias=norm is None)
        self.project = CondConvNorm(conv, norm=norm, activation=None)
        self.drop_connect = _drop_connect(block)

    def mixture(self, x: Tensor) -> Tensor:
        """(N, C, H, W), the block's input -> (N, experts): how much of each expert, in (0, 1), not summing to 1."""
        return self.routing_sigmoid(self.routing(self.routing_average(x)))

    def forward(self, x: Tensor, record: Recorder | None = None) -> Tensor:
        """(N, C, H, W) -> (N, out, H', W')."""
        record = Recorder() if record is None else record
        residual, mixture = x, self.mixture(x)
        if self.expand is not None:
            x = self.expand(x, mixture)
            record.keep(f"{self.path}.expand", x)
        x = self.depthwise(x, mixture)
        record.keep(f"{self.path}.depthwise", x)
        if self.squeeze_excite is not None:
            x = self.squeeze_excite(x)
            record.keep(f"{self.path}.squeeze_excite", x)
        x = self.project(x, mixture)
        record.keep(f"{self.path}.project", x)
        if self.has_residual:
            x = residual + (x if self.drop_connect is None else self.drop_connect(x))
        record.keep(self.path, x)
        return x


def build_block(block: Block, *, path: str, norm: Norm | None, padding: Padding) -> nn.Module:
    """The module of one block, whose endpoints begin with `path`, such as blocks.3."""
    match block:
        case MBConv():
            return MBConvBlock(block, path=path, norm=norm, padding=padding)
        case FusedMBConv():
            return FusedMBConvBlock(block, path=path, norm=norm, padding=padding)
        case CondMBConv():
            return CondMBConvBlock(block, path=path, norm=norm, padding=padding)


def _squeeze_excite(block: MBConv | CondMBConv) -> SqueezeExcite | None:
    if block.squeeze_channels is None:
        return None
    return SqueezeExcite(block.expanded_channels, squeeze_channels=block.squeeze_channels, activation=block.activation)


def _drop_connect(block: Block) -> DropConnect | None:
    drops = block.has_residual and block.drop_connect_rate > 0
    return DropConnect(block.drop_connect_rate) if drops else None
