"""Networks that are changed on the way: other input channels, no background class, no classifier or a fresh one,
no normalisations.

How that is done stands in `adapted_checkpoint.py`, which is imported when something is to change.
"""

from __future__ import annotations

from dataclasses import dataclass

from converters.checkpoint import Checkpoint


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """What to change in a network, in this order; by default nothing."""

    in_channels: int | None = None
    """Channels of the images: 1 takes the sum of the stem's three, any other number repeats and rescales them."""
    drop_background: bool = False
    """Cut the first class, where that is the background (1001 classes become ImageNet's 1000)."""
    drop_head: bool = False
    """Leave hidden layers and classifier out; with `num_classes` a fresh classifier takes their place."""
    num_classes: int | None = None
    """Classes of the classifier, at least 1; where it has another number, does not exist or is dropped with the head,
    a fresh one is drawn."""
    seed: int = 0
    """Of what is drawn."""
    fold: bool = False
    """Fold batch normalisation into the convolutions (`converters.fold`), after everything else."""


NOTHING = Adaptation()


def adapt(checkpoint: Checkpoint, adaptation: Adaptation = NOTHING) -> Checkpoint:
    """The checkpoint of the adapted network; it reads from the file of the given one, and closes it.

    Raises `InvalidOption` and `InvalidSpec` for what the network does not allow; a tensor that is read then raises
    `CannotFold` for a normalisation that cannot be folded.
    """
    if adaptation == NOTHING:
        return checkpoint
    from converters.changes.adapted_checkpoint import adapted  # noqa: PLC0415 - most conversions change nothing

    return adapted(checkpoint, adaptation)
