"""Where a network drops values at random in training, so that both backends can be given the same choice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class MaskSite:
    """One layer that drops, as it really is in a model."""

    name: str
    """Canonical: `blocks.3.drop_connect`, `hidden.1` or `dropout`."""
    rate: float
    """Probability of dropping."""
    shape: tuple[int, ...]
    """Of the mask, channels last: (N, 1, 1, 1) for drop-connect, (N, C) for dropout behind the pooling, (N, H, W, C)
    where single values of an image are dropped."""
