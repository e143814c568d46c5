"""What follows the last block: the head, the pooling, hidden layers, and the classifier."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from effnet_core.errors import InvalidOption


class Activation(StrEnum):
    """A non-linearity. Published networks have the first three; the others stand in hidden layers of a classifier."""

    SWISH = "swish"
    RELU6 = "relu6"
    RELU = "relu"
    TANH = "tanh"
    SIGMOID = "sigmoid"


class Pooling(StrEnum):
    """What becomes of height and width behind the head."""

    AVERAGE = "average"
    """The global average, (N, C)."""
    MAX = "max"
    """The global maximum, (N, C)."""
    NONE = "none"
    """They stay: features of a model without its classifier."""

    @classmethod
    def _missing_(cls, value: object) -> Pooling:
        raise InvalidOption(f"There is no pooling named {value!r}; expected one of {', '.join(cls)}.")


@dataclass(frozen=True, kw_only=True)
class Head:
    """The last 1x1 convolution, normalisation and activation, before pooling."""

    in_channels: int
    out_channels: int
    activation: Activation


@dataclass(frozen=True, kw_only=True)
class HiddenDense:
    """A dense layer between pooling and classifier."""

    in_channels: int
    out_channels: int
    activation: Activation | None
    has_bias: bool = True


@dataclass(frozen=True, kw_only=True)
class HiddenNorm:
    """Batch normalisation of (N, C); its epsilon and decay are its own, not the network's."""

    channels: int
    epsilon: float
    """Added to the variance."""
    decay: float
    """Weight of the old moving statistic: new = decay * old + (1 - decay) * batch."""


@dataclass(frozen=True, kw_only=True)
class HiddenActivation:
    """A non-linearity that stands alone, as behind a normalisation."""

    activation: Activation


@dataclass(frozen=True, kw_only=True)
class HiddenDropout:
    """Zeroes single values in training and divides the rest by 1 - rate."""

    dropout_rate: float


HiddenLayer = HiddenDense | HiddenNorm | HiddenActivation | HiddenDropout


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """Global pooling, hidden layers if there are any, dropout and one dense layer."""

    in_channels: int
    """Of the dense layer: the head's channels, or those of the last hidden dense layer."""
    num_classes: int
    label_offset: int
    """Classes before the first ImageNet label: 1 where class 0 is the background."""
    dropout_rate: float
    pooling: Pooling = Pooling.AVERAGE
    hidden: tuple[HiddenLayer, ...] = ()
    """In forward order; published networks have none, fine-tuned ones often do."""
