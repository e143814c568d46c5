"""How the published networks were trained: optimiser, weight decay, moving averages, label smoothing, learning rate.

Sources: tensorflow/tpu models/official/efficientnet/main.py and utils.py (V1, Lite, EdgeTPU, CondConv); google/automl
efficientnetv2/hparams.py, effnetv2_configs.py, main.py and utils.py (V2). Tan and Le, EfficientNet (2019), section 5.2;
EfficientNetV2 (2021), section 5.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from effnet_core.errors import InvalidOption
from effnet_core.learning_rate import Decay, Schedule
from effnet_core.optimizer_slots import Slot
from effnet_core.parameters import NORM_ROLES, Parameter, Role


@dataclass(frozen=True, kw_only=True)
class Sgd:
    """Stochastic gradient descent with momentum, as tf.train.MomentumOptimizer and torch.optim.SGD do it.

    accumulated = momentum * accumulated + gradient; variable -= rate * accumulated.
    """

    momentum: float


@dataclass(frozen=True, kw_only=True)
class RmsProp:
    """RMSProp as tf.train.RMSPropOptimizer does it, which other libraries do not.

    mean_square += (gradient^2 - mean_square) * (1 - decay);
    momentum_slot = momentum * momentum_slot + rate * gradient / sqrt(mean_square + epsilon);
    variable -= momentum_slot. The mean square starts at one, the momentum at zero.

    torch.optim.RMSprop adds epsilon to the root, starts at zero and multiplies the rate with the momentum;
    keras.optimizers.RMSprop starts at zero. Source: tensorflow/python/training/rmsprop.py and
    tensorflow/core/kernels/training_ops.cc, ApplyRMSProp.
    """

    decay: float
    """Of the mean square."""
    momentum: float
    epsilon: float
    """Added to the mean square, inside the root."""
    initial_mean_square: float = 1.0


class Decayed(StrEnum):
    """Which tensors weight decay pulls towards zero."""

    KERNELS_AND_BIASES = "kernels-and-biases"
    """All but gamma and beta of normalisations: V1, whose rule leaves out names with `batch_normalization`."""
    KERNELS = "kernels"
    """V2, whose rule leaves out names with bias, gamma or beta."""
    EVERYTHING = "everything"
    """Every trained tensor, as optimisers do by themselves; no published network."""

    @classmethod
    def _missing_(cls, value: object) -> Decayed:
        raise InvalidOption(f"There is no choice of decayed tensors named {value!r}; expected one of {', '.join(cls)}.")


@dataclass(frozen=True, kw_only=True)
class WeightDecay:
    """rate * sum of squares / 2 over the decayed tensors, added to the loss: their gradients get rate * tensor."""

    rate: float
    tensors: Decayed

    def applies(self, parameter: Parameter) -> bool:
        """Whether the tensor is decayed."""
        match self.tensors:
            case Decayed.KERNELS_AND_BIASES:
                return parameter.role not in NORM_ROLES
            case Decayed.KERNELS:
                return parameter.role not in NORM_ROLES and parameter.role is not Role.BIAS
            case Decayed.EVERYTHING:
                return parameter.trainable


@dataclass(frozen=True, kw_only=True)
class MovingAverage:
    """A second copy of every variable, moving statistics included, which follows the first: tf's
    ExponentialMovingAverage with `num_updates`.

    shadow -= (1 - decay) * (shadow - variable), from the variables' initial values.
    """

    decay: float
    """What the weight of the old value grows to."""

    def decay_at(self, updates: int) -> float:
        """The weight of the old value where `updates` steps have been made, the present one included: at least 1."""
        return min(self.decay, (1 + updates) / (10 + updates))


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """Everything about a training but its images; `effnet_core.TRAINING_RECIPES` has the published ones."""

    optimizer: Sgd | RmsProp
    weight_decay: WeightDecay | None
    label_smoothing: float
    """This part of the probability is shared out among all classes."""
    moving_average: MovingAverage | None
    schedule: Schedule
    batch_size: int
    epochs: float


def slots(optimizer: Sgd | RmsProp) -> tuple[Slot, ...]:
    """What the optimiser keeps."""
    return (Slot.MEAN_SQUARE, Slot.MOMENTUM) if isinstance(optimizer, RmsProp) else (Slot.ACCUMULATED,)


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """Where a training stands: everything that going on with it needs. Arrays have canonical names and layouts."""

    step: int
    """Steps that were made."""
    variables: Mapping[str, Any]
    averages: Mapping[str, Any] | None
    """Of every variable; None: the training keeps none."""
    slots: Mapping[Slot, Mapping[str, Any]]
    """Of every trained tensor."""


_RMSPROP = RmsProp(decay=0.9, momentum=0.9, epsilon=1e-3)
_EXPONENTIAL = Schedule(decay=Decay.EXPONENTIAL, base_rate=0.016, warmup_epochs=5)

TRAINING_RECIPES: Mapping[str, TrainingRecipe] = MappingProxyType(
    {
        # tensorflow/tpu main.py: the flags train_batch_size, train_steps (218949), base_learning_rate, weight_decay,
        # moving_average_decay and label_smoothing; utils.py: build_optimizer, build_learning_rate.
        "v1": TrainingRecipe(
            optimizer=_RMSPROP,
            weight_decay=WeightDecay(rate=1e-5, tensors=Decayed.KERNELS_AND_BIASES),
            label_smoothing=0.1,
            moving_average=MovingAverage(decay=0.9999),
            schedule=_EXPONENTIAL,
            batch_size=2048,
            epochs=350,
        ),
        # google/automl hparams.py, base_config; main.py, weight decay by the names of variables.
        "v2": TrainingRecipe(
            optimizer=_RMSPROP,
            weight_decay=WeightDecay(rate=1e-5, tensors=Decayed.KERNELS),
            label_smoothing=0.1,
            moving_average=MovingAverage(decay=0.9999),
            schedule=_EXPONENTIAL,
            batch_size=4096,
            epochs=350,
        ),
        # google/automl datasets.py, ImageNet21k: the base of V2 with these changes.
        "v2-21k": TrainingRecipe(
            optimizer=_RMSPROP,
            weight_decay=WeightDecay(rate=1e-5, tensors=Decayed.KERNELS),
            label_smoothing=0.0,
            moving_average=MovingAverage(decay=0.9999),
            schedule=Schedule(decay=Decay.COSINE, base_rate=0.008, warmup_epochs=1),
            batch_size=4096,
            epochs=60,
        ),
        # The same file, fine-tuning on ImageNet: 15 epochs and at least 10000 steps.
        "v2-21k-ft1k": TrainingRecipe(
            optimizer=_RMSPROP,
            weight_decay=WeightDecay(rate=1e-5, tensors=Decayed.KERNELS),
            label_smoothing=0.1,
            moving_average=MovingAverage(decay=0.9996),
            schedule=Schedule(decay=Decay.CONSTANT, base_rate=0.0005, warmup_epochs=1),
            batch_size=512,
            epochs=15,
        ),
    }
)
"""The published recipes, by name."""


def training_recipe(name: str) -> TrainingRecipe:
    """The published recipe of that name. Raises `InvalidOption` naming all when there is none."""
    if name not in TRAINING_RECIPES:
        raise InvalidOption(
            f"There is no training recipe named {name!r}; expected one of {', '.join(TRAINING_RECIPES)}."
        )
    return TRAINING_RECIPES[name]
