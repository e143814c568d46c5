"""What a network is: frozen dataclasses in which nothing is left to compute.

`effnet_core.resolve` makes them; the backends and the converter only read them. Channels are counts, sizes are
pixels, rates are probabilities in [0, 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from effnet_core.consistency import problems
from effnet_core.errors import InvalidSpec
from effnet_core.heads import Activation, Classifier, Head
from effnet_core.preprocessing import Preprocessing


class Family(StrEnum):
    """The published series that a network belongs to."""

    V1 = "efficientnet"
    LITE = "efficientnet-lite"
    EDGETPU = "efficientnet-edgetpu"
    CONDCONV = "efficientnet-condconv"
    V2 = "efficientnetv2"


class Rounding(StrEnum):
    """How scaled channels are rounded to multiples of 8."""

    GUARDED = "guarded"
    """To the nearest multiple, or the next one where that would lose more than 10 %: the V1 code."""
    NEAREST = "nearest"
    """To the nearest multiple, however much is lost: the V2 code."""


class Padding(StrEnum):
    """How a convolution pads its input."""

    SAME = "same"
    """TensorFlow's: output = ceil(input / stride), and the odd pixel goes after (bottom, right)."""
    SYMMETRIC = "symmetric"
    """torchvision's: (kernel - 1) // 2 on every side, whatever the input size."""


@dataclass(frozen=True, kw_only=True)
class Norm:
    """Batch normalisation, the same in every layer of a network."""

    epsilon: float
    """Added to the variance."""
    decay: float
    """Weight of the old moving statistic: new = decay * old + (1 - decay) * batch."""


@dataclass(frozen=True, kw_only=True)
class Stem:
    """The first convolution, normalisation and activation."""

    kernel_size: int
    stride: int
    in_channels: int
    out_channels: int
    activation: Activation


@dataclass(frozen=True, kw_only=True)
class InvertedBottleneck:
    """What every kind of block has: it may widen its input, and projects to few channels at the end."""

    stage: int
    """From 1."""
    repeat: int
    """Place in the stage, from 0."""
    kernel_size: int
    """Of the spatial convolution, as its stride."""
    stride: int
    in_channels: int
    expanded_channels: int
    """Channels between expansion and projection."""
    out_channels: int
    has_expansion: bool
    """False where the expansion ratio is 1: no expanding convolution exists, expanded_channels equals in_channels."""
    has_residual: bool
    drop_connect_rate: float
    """Probability of dropping the block's branch for one sample in training; acts only where has_residual."""
    activation: Activation


@dataclass(frozen=True, kw_only=True)
class MBConv(InvertedBottleneck):
    """A mobile inverted bottleneck: expand 1x1, depthwise, squeeze-and-excite, project 1x1.

    Source: Sandler et al., MobileNetV2 (2018), section 3; Tan and Le, EfficientNet (2019), table 1.
    """

    squeeze_channels: int | None
    """Width inside squeeze-and-excite, None where there is none. Computed from the block's input channels."""


@dataclass(frozen=True, kw_only=True)
class FusedMBConv(InvertedBottleneck):
    """One full convolution in place of expansion and depthwise: expand k x k with the stride, project 1x1.

    Without an expansion a single k x k convolution remains, the projection; it has the stride and an activation,
    before the residual.

    Source: Tan and Le, EfficientNetV2 (2021), figure 2; EfficientNet-EdgeTPU, whose first stages are of this kind.
    """


@dataclass(frozen=True, kw_only=True)
class CondMBConv(InvertedBottleneck):
    """An MBConv whose three kernels are mixed for each example from several experts' kernels.

    The weights of the mixture are sigmoid(dense(global average of the block's input)), the same for all three.

    Source: Yang et al., CondConv (2019), section 3; tensorflow/tpu models/official/efficientnet/condconv.
    """

    squeeze_channels: int | None
    """As in MBConv; squeeze-and-excite itself has ordinary kernels."""
    num_experts: int


Block = MBConv | FusedMBConv | CondMBConv


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """One network, fully resolved.

    Raises `InvalidSpec` when its parts do not fit together.
    """

    name: str
    """The official name, such as efficientnet-b0."""
    family: Family
    width: float
    """The width coefficient from which the channels were computed; says where they come from, computes nothing."""
    depth: float
    """The depth coefficient from which the number of blocks was computed."""
    rounding: Rounding
    """The rule by which the channels were rounded."""
    padding: Padding
    norm: Norm | None
    """None: there is none, it has been folded into the convolutions, which have biases then (`converters.fold`)."""
    stem: Stem
    blocks: tuple[Block, ...]
    head: Head | None
    """None: the network ends with its last block, as encoders do; then it has no classifier either."""
    classifier: Classifier | None
    """None: the network ends with the head and gives features."""
    preprocessing: Preprocessing

    def __post_init__(self) -> None:
        found = problems(self)
        if found:
            raise InvalidSpec(f"The definition of {self.name!r} contradicts itself: " + "; ".join(found) + ".")
