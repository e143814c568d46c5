"""The optimisers of the published recipes, with their arithmetic, for any training in Keras (`model.fit` too).

Keras' own differ from the official code: keras.optimizers.RMSprop starts its mean square at zero, and
keras.optimizers.SGD multiplies the learning rate with the momentum, so that a change of the rate does not act on what
was gathered before. Both are registered, so that a compiled model that was saved opens where `effnet_tf` was imported.
"""

from __future__ import annotations

from math import pi
from typing import Any

from effnet_core import Decay, InvalidOption, LearningRate, RmsProp, Sgd, Slot
from effnet_tf._keras import BaseOptimizer, BaseSchedule, Variable, keras


class TfRMSprop(BaseOptimizer):
    """RMSProp as tf.train.RMSPropOptimizer does it, by which the published networks were trained.

    Epsilon is added to the mean square inside the root, the mean square starts at `initial_mean_square`, and the
    learning rate goes into the momentum.

    Source: `effnet_core.RmsProp`.
    """

    def __init__(
        self,
        learning_rate: Any,
        *,
        decay: float = 0.9,
        momentum: float = 0.9,
        epsilon: float = 1e-3,
        initial_mean_square: float = 1.0,
        name: str | None = None,
    ) -> None:
        if not 0 <= decay < 1 or not 0 <= momentum < 1 or epsilon < 0 or initial_mean_square < 0:
            raise InvalidOption(
                f"RMSProp has decay {decay}, momentum {momentum}, epsilon {epsilon} and initial_mean_square "
                f"{initial_mean_square}; expected none below 0, and decay and momentum below 1."
            )
        super().__init__(learning_rate, name=name)
        self.decay = decay
        self.momentum = momentum
        self.epsilon = epsilon
        self.initial_mean_square = initial_mean_square

    def build(self, variables: list[Any]) -> None:
        """Make mean squares and momenta for the variables."""
        if self.built:
            return
        super().build(variables)
        self.mean_squares = self.add_optimizer_variables(variables, "mean_square")
        self.momenta = self.add_optimizer_variables(variables, "momentum")
        for mean_square in self.mean_squares:
            mean_square.assign(keras.ops.full_like(mean_square, self.initial_mean_square))

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Change one variable."""
        index, ops = self.index_of(variable), keras.ops
        gradient, rate = ops.cast(gradient, variable.dtype), ops.cast(learning_rate, variable.dtype)
        mean_square, momentum = self.mean_squares[index], self.momenta[index]
        self.assign(mean_square, mean_square + (gradient * gradient - mean_square) * (1 - self.decay))
        change = gradient * rate / ops.sqrt(mean_square + self.epsilon)
        self.assign(momentum, momentum * self.momentum + change)
        self.assign_sub(variable, momentum)

    def get_config(self) -> dict[str, Any]:
        """What a saved model needs to make the optimiser again."""
        own = {
            "decay": self.decay,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "initial_mean_square": self.initial_mean_square,
        }
        return _plain_config(super().get_config()) | own


class TfMomentum(BaseOptimizer):
    """SGD with momentum as tf.train.MomentumOptimizer and torch.optim.SGD do it.

    Source: `effnet_core.Sgd`.
    """

    def __init__(self, learning_rate: Any, *, momentum: float = 0.9, name: str | None = None) -> None:
        if not 0 <= momentum < 1:
            raise InvalidOption(f"The momentum is {momentum}; expected 0 or more and less than 1.")
        super().__init__(learning_rate, name=name)
        self.momentum = momentum

    def build(self, variables: list[Any]) -> None:
        """Make the sums of gradients for the variables."""
        if self.built:
            return
        super().build(variables)
        self.accumulated = self.add_optimizer_variables(variables, "accumulated")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Change one variable."""
        ops, accumulated = keras.ops, self.accumulated[self.index_of(variable)]
        self.assign(accumulated, accumulated * self.momentum + ops.cast(gradient, variable.dtype))
        self.assign_sub(variable, accumulated * ops.cast(learning_rate, variable.dtype))

    def get_config(self) -> dict[str, Any]:
        """What a saved model needs to make the optimiser again."""
        return _plain_config(super().get_config()) | {"momentum": self.momentum}


class TfSchedule(BaseSchedule):
    """A learning rate of `effnet_core` for Keras' optimisers, in float64: each variable takes it in its own type."""

    def __init__(
        self,
        *,
        decay: str,
        peak: float,
        warmup_steps: int,
        decay_steps: float,
        factor: float,
        total_steps: int,
        minimum: float,
    ) -> None:
        self.rate = LearningRate(
            decay=Decay(decay),
            peak=peak,
            warmup_steps=warmup_steps,
            decay_steps=decay_steps,
            factor=factor,
            total_steps=total_steps,
            minimum=minimum,
        )

    def __call__(self, step: Any) -> Any:
        """The rate of a step, also of a symbolic one."""
        ops, rate = keras.ops, self.rate
        step = ops.cast(step, "float64")
        match rate.decay:
            case Decay.EXPONENTIAL:
                falls = ops.floor(step / rate.decay_steps)
                value = rate.peak * ops.power(_wide(rate.factor), falls)
            case Decay.COSINE:
                value = 0.5 * rate.peak * (1 + ops.cos(step * pi / rate.total_steps))
            case Decay.CONSTANT:
                value = ops.full_like(step, rate.peak)
        value = ops.maximum(value, _wide(rate.minimum))
        if rate.warmup_steps == 0:
            return value
        return ops.where(step < rate.warmup_steps, step * rate.peak / rate.warmup_steps, value)

    def get_config(self) -> dict[str, Any]:
        """What a saved model needs to make the schedule again."""
        rate = self.rate
        return {
            "decay": rate.decay.value,
            "peak": rate.peak,
            "warmup_steps": rate.warmup_steps,
            "decay_steps": rate.decay_steps,
            "factor": rate.factor,
            "total_steps": rate.total_steps,
            "minimum": rate.minimum,
        }


# Not as decorators, behind which the types of the classes would be lost.
for _kind in (TfRMSprop, TfMomentum, TfSchedule):
    keras.saving.register_keras_serializable(package="effnet")(_kind)


def _wide(value: float) -> Any:
    """A number in float64, which casting would reach through float32."""
    return keras.ops.convert_to_tensor(value, dtype="float64")


def create_schedule(rate: LearningRate) -> TfSchedule:
    """A learning rate that an optimiser of Keras takes in place of a number."""
    return TfSchedule(
        decay=rate.decay.value,
        peak=rate.peak,
        warmup_steps=rate.warmup_steps,
        decay_steps=rate.decay_steps,
        factor=rate.factor,
        total_steps=rate.total_steps,
        minimum=rate.minimum,
    )


def create_optimizer(rule: Sgd | RmsProp, *, learning_rate: float | TfSchedule) -> TfRMSprop | TfMomentum:
    """The optimiser of a recipe."""
    match rule:
        case RmsProp():
            return TfRMSprop(
                learning_rate,
                decay=rule.decay,
                momentum=rule.momentum,
                epsilon=rule.epsilon,
                initial_mean_square=rule.initial_mean_square,
            )
        case Sgd():
            return TfMomentum(learning_rate, momentum=rule.momentum)


def read_slots(optimizer: object, index: int) -> dict[Slot, Variable]:
    """What a built optimiser keeps for its variable number `index`. Empty for an optimiser of another kind."""
    if isinstance(optimizer, TfRMSprop):
        return {Slot.MEAN_SQUARE: optimizer.mean_squares[index], Slot.MOMENTUM: optimizer.momenta[index]}
    if isinstance(optimizer, TfMomentum):
        return {Slot.ACCUMULATED: optimizer.accumulated[index]}
    return {}


def _plain_config(config: dict[str, Any]) -> dict[str, Any]:
    """Name and learning rate: the other settings of Keras are not taken here."""
    return {key: config[key] for key in ("name", "learning_rate")}
