"""What a user can choose between. Imports nothing: the command line needs it to print its help."""

from __future__ import annotations

from enum import StrEnum


class Choice(StrEnum):
    """Words to choose from. Any other word raises `InvalidOption`, which lists them."""

    @classmethod
    def _missing_(cls, value: object) -> Choice:
        from effnet_core import InvalidOption

        raise InvalidOption(f"There is no {cls.__name__.lower()} named {value!r}; expected one of {', '.join(cls)}.")


class Backend(Choice):
    """What runs a network."""

    TF = "tf"
    TORCH = "torch"
    ONNX = "onnx"
    """ONNX Runtime, which is no framework: it runs networks in evaluation, and starts fastest."""


class Device(Choice):
    """Where a network runs."""

    CPU = "cpu"
    CUDA = "cuda"


class Precision(Choice):
    """The type of weights, inputs and every intermediate result."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"


class Engine(Choice):
    """What carries many images to the network."""

    LOCAL = "local"
    """This process."""
    RAY = "ray"
    """Ray Data: workers on this machine or on a cluster."""


class Isolation(Choice):
    """Whether networks that are compared run in processes of their own."""

    AUTO = "auto"
    """Where both frameworks in one process are known to crash."""
    ALWAYS = "always"
    NEVER = "never"


class Layout(Choice):
    """Where the channels of images (four axes) are, in what a model takes and gives."""

    CHANNELS_LAST = "channels_last"
    """(N, H, W, C)."""
    CHANNELS_FIRST = "channels_first"
    """(N, C, H, W)."""
