"""From the logits of one image to the classes that a network sees in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.labels import label


@dataclass(frozen=True, kw_only=True)
class Guess:
    """One class for one image."""

    index: int
    label: str | None
    """ImageNet's name of the class or `background`, None where the network does not have ImageNet's 1000 classes."""
    probability: float


def best(logits: NDArray[Any], top: int, *, label_offset: int) -> tuple[Guess, ...]:
    """The `top` most probable classes, the lower one first where two are equal; softmax is computed in float64."""
    wide = logits.astype(np.float64)
    exponentials = np.exp(wide - wide.max())
    probabilities = exponentials / exponentials.sum()
    return tuple(
        Guess(
            index=int(index),
            label=label(int(index), num_classes=len(wide), label_offset=label_offset),
            probability=float(probabilities[index]),
        )
        for index in np.argsort(-wide, kind="stable")[:top]
    )


def rank(logits: NDArray[Any], index: int) -> int:
    """The place of a class among all, 1 for the one that `best` puts first."""
    own = logits[index]
    return 1 + int(np.count_nonzero(logits > own)) + int(np.count_nonzero(logits[:index] == own))


def not_finite(logits: NDArray[Any], image: NDArray[Any]) -> str | None:
    """What is wrong with logits that are no numbers, a sentence; None where nothing is."""
    bad = int(np.count_nonzero(~np.isfinite(logits)))
    if bad == 0:
        return None
    return (
        f"{bad} of {len(logits)} logits are NaN or infinite in {logits.dtype}; expected finite numbers. The "
        f"largest absolute value of the input is {np.abs(image).max():g}; normalised images stay within about "
        "3. `effnet inspect` counts NaN and Inf in the weights."
    )
