"""How the learning rate changes in the course of a training: pure functions of the number of the step.

Sources: tensorflow/tpu models/official/efficientnet/utils.py, build_learning_rate; google/automl
efficientnetv2/utils.py, WarmupLearningRateSchedule.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import cos, floor, pi

from effnet_core.errors import InvalidOption

EXAMPLES = 256
"""Published base rates hold for batches of this size; other batches have rates in proportion."""


class Decay(StrEnum):
    """How the rate falls."""

    EXPONENTIAL = "exponential"
    """In steps of one factor each."""
    COSINE = "cosine"
    """Half a cosine from the peak to 0."""
    CONSTANT = "constant"

    @classmethod
    def _missing_(cls, value: object) -> Decay:
        raise InvalidOption(f"There is no decay named {value!r}; expected one of {', '.join(cls)}.")


@dataclass(frozen=True, kw_only=True)
class LearningRate:
    """The rate of every step of one training, in steps.

    Raises `InvalidOption` for numbers that make no schedule.
    """

    decay: Decay
    peak: float
    """What the warm-up reaches, and the decay counted from step 0 starts with."""
    warmup_steps: int
    """The rate grows from 0 in proportion to the step for so many steps."""
    decay_steps: float = 1.0
    """Exponential: steps between two falls, not necessarily a whole number."""
    factor: float = 1.0
    """Exponential: what the rate is multiplied with at each fall."""
    total_steps: int = 1
    """Cosine: steps from the peak to 0."""
    minimum: float = 0.0
    """The decay ends here; the warm-up begins below."""

    def __post_init__(self) -> None:
        wrong = [
            f"{name} is {value}, expected {wanted}"
            for name, value, wanted, fits in (
                ("peak", self.peak, "more than 0", self.peak > 0),
                ("warmup_steps", self.warmup_steps, "0 or more", self.warmup_steps >= 0),
                ("decay_steps", self.decay_steps, "more than 0", self.decay_steps > 0),
                ("factor", self.factor, "more than 0 and at most 1", 0 < self.factor <= 1),
                ("total_steps", self.total_steps, "1 or more", self.total_steps >= 1),
                ("minimum", self.minimum, "0 or more", self.minimum >= 0),
            )
            if not fits
        ]
        if wrong:
            raise InvalidOption(f"The learning rate has no meaning: {'; '.join(wrong)}.")

    def at(self, step: int) -> float:
        """The rate of the step `step`, counted from 0."""
        if step < self.warmup_steps:
            return self.peak * step / self.warmup_steps
        match self.decay:
            case Decay.EXPONENTIAL:
                rate = self.peak * self.factor ** floor(step / self.decay_steps)
            case Decay.COSINE:
                rate = 0.5 * self.peak * (1 + cos(pi * step / self.total_steps))
            case Decay.CONSTANT:
                rate = self.peak
        return max(rate, self.minimum)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A published schedule, in epochs and for a batch of `EXAMPLES`."""

    decay: Decay
    base_rate: float
    warmup_epochs: float
    decay_epochs: float = 2.4
    factor: float = 0.97
    minimum: float = 0.0

    def learning_rate(self, *, batch_size: int, steps_per_epoch: float, total_steps: int) -> LearningRate:
        """The rates of a training with batches of `batch_size` examples.

        The official code does not round `steps_per_epoch`: 1281167 / 2048 = 625.57 for ImageNet. Raises `InvalidOption`
        for numbers below 1, or not above 0 for the steps of an epoch.
        """
        if batch_size < 1 or not steps_per_epoch > 0:
            raise InvalidOption(
                f"A schedule needs the size of the batch and the steps of an epoch: found {batch_size} and "
                f"{steps_per_epoch}, expected at least 1 and more than 0."
            )
        return LearningRate(
            decay=self.decay,
            peak=self.base_rate * batch_size / EXAMPLES,
            warmup_steps=int(self.warmup_epochs * steps_per_epoch),
            decay_steps=self.decay_epochs * steps_per_epoch,
            factor=self.factor,
            total_steps=total_steps,
            minimum=self.minimum,
        )


def constant_rate(rate: float) -> LearningRate:
    """The same rate at every step."""
    return LearningRate(decay=Decay.CONSTANT, peak=rate, warmup_steps=0)
