"""What an optimiser keeps beside the weights, in a file of its own: dialects name it without knowing how to train."""

from __future__ import annotations

from enum import StrEnum


class Slot(StrEnum):
    """What an optimiser keeps for each trained tensor."""

    MEAN_SQUARE = "mean_square"
    """Of RMSProp."""
    MOMENTUM = "momentum"
    """Of RMSProp, with the learning rate in it."""
    ACCUMULATED = "accumulated"
    """Of SGD with momentum: gradients, without the learning rate."""
