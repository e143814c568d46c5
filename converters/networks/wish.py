"""What a user can say of a network's architecture, and the advice to say it."""

from __future__ import annotations

from typing import NamedTuple

from converters.options import SourceOptions
from effnet_core import mismatch

OWN_BLOCKS = (
    "A network whose blocks are a list of its own needs its definition: --spec FILE.json, in Python "
    "SourceOptions(spec=...)."
)
ADVICE = f"{mismatch.ADVICE} {OWN_BLOCKS}"
"""What to do where the tensors of a file do not fit a network."""


class Wish(NamedTuple):
    """What the user says about the network; None: find it out."""

    arch: str | None = None
    width: float | None = None
    depth: float | None = None
    num_classes: int | None = None
    recipe: str | None = None


def wish_of(options: SourceOptions) -> Wish:
    """What the options say about the network's architecture."""
    return Wish(
        arch=options.arch,
        width=options.width,
        depth=options.depth,
        num_classes=options.num_classes,
        recipe=options.recipe,
    )
