"""Training by a published recipe: one step at a time, and everything about the state under canonical names."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet_core import (
    InvalidOption,
    LearningRate,
    NetworkSpec,
    Parameter,
    Slot,
    TrainingRecipe,
    TrainingState,
    check_state,
    parameters,
)
from effnet_tf._keras import Model, Variable
from effnet_tf.averages import MovingAverages
from effnet_tf.losses import cross_entropy, weight_decay
from effnet_tf.optimizers import create_optimizer, create_schedule, read_slots
from effnet_tf.weights import assignable, load_state, named_variables, read_state


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What one step gave."""

    loss: Any
    """With weight decay."""
    logits: Any
    """(N, classes)."""
    learning_rate: float


class Trainer:
    """A network in training on Keras' TensorFlow backend, with its optimiser and moving averages.

    Each step is one of the official code: loss with label smoothing and weight decay, moving statistics, optimiser,
    moving averages.
    """

    def __init__(
        self,
        model: Model,
        spec: NetworkSpec,
        recipe: TrainingRecipe,
        *,
        learning_rate: LearningRate,
        optimizer: Any = None,
        run_eagerly: bool = False,
    ) -> None:
        """`optimizer` takes the place of the recipe's, and its rate becomes `learning_rate`.

        With `run_eagerly` steps are not compiled: slower, and without the wait for the first. Raises
        `CheckpointMismatch` when the model is not the network of `spec`.
        """
        self.model = model
        self.spec = spec
        self.recipe = recipe
        self.learning_rate = learning_rate
        self._variables = named_variables(model, spec)
        schedule = create_schedule(learning_rate)
        self.optimizer: Any = optimizer or create_optimizer(recipe.optimizer, learning_rate=schedule)
        if optimizer is not None:
            optimizer.learning_rate = schedule
        self.optimizer.build([variable for _, variable in self._trained()])
        rule = recipe.moving_average
        self.averages = None if rule is None else MovingAverages(model, spec, rule)
        self._gradients: list[Any] = []
        # Not at the top: the network itself runs on Keras' other backends too, where TensorFlow may be absent.
        self._tf: Any = import_module("tensorflow")
        self._run: Any = self._compute if run_eagerly else self._tf.function(self._compute)

    @property
    def steps(self) -> int:
        """Steps that were made."""
        return int(self.optimizer.iterations.numpy())

    def step(self, images: Any, labels: Any) -> StepResult:
        """One step on images (N, H, W, C) and labels, as `cross_entropy` takes them."""
        tf, made = self._tf, self.steps
        rule = self.recipe.moving_average
        part = 0.0 if rule is None else 1 - rule.decay_at(made + 1)
        loss, logits, self._gradients = self._run(
            tf.convert_to_tensor(images), tf.convert_to_tensor(labels), tf.constant(part, tf.float64)
        )
        return StepResult(loss=loss, logits=logits, learning_rate=self.learning_rate.at(made))

    def gradients(self) -> dict[str, NDArray[Any]]:
        """Of the last step's loss, under canonical names."""
        pairs = zip(self._trained(), self._gradients, strict=True)
        return {parameter.name: np.array(gradient) for (parameter, _), gradient in pairs}

    def state(self) -> TrainingState:
        """Where the training stands, as copies."""
        slots: dict[Slot, dict[str, NDArray[Any]]] = {}
        for index, (parameter, _) in enumerate(self._trained()):
            for slot, variable in read_slots(self.optimizer, index).items():
                slots.setdefault(slot, {})[parameter.name] = np.array(variable.numpy())
        return TrainingState(
            step=self.steps,
            variables=read_state(self.model, self.spec),
            averages=None if self.averages is None else self.averages.read(),
            slots=slots,
        )

    def load(self, state: TrainingState) -> None:
        """Go on where another training stood.

        Raises `InvalidOption` for a state without the averages or slots that this training keeps, and
        `CheckpointMismatch` where tensors do not fit, before anything is changed.
        """
        self._check(state)
        load_state(self.model, self.spec, state.variables)
        if self.averages is not None and state.averages is not None:
            self.averages.load(state.averages)
        for index, (parameter, _) in enumerate(self._trained()):
            for slot, variable in read_slots(self.optimizer, index).items():
                variable.assign(assignable(state.slots[slot][parameter.name]))
        self.optimizer.iterations.assign(state.step)

    def _compute(self, images: Any, labels: Any, part: Any) -> tuple[Any, Any, list[Any]]:
        variables = [variable for _, variable in self._trained()]
        untyped: Any = self.model
        with self._tf.GradientTape() as tape:
            logits = untyped(images, training=True)
            loss = cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
            if self.recipe.weight_decay is not None:
                loss = loss + weight_decay(self.model, self.spec, self.recipe.weight_decay)
        gradients = tape.gradient(loss, [_value(variable) for variable in variables])
        self.optimizer.apply(gradients, variables)
        if self.averages is not None:
            self.averages.follow(part)
        return loss, logits, gradients

    def _check(self, state: TrainingState) -> None:
        trained = [parameter for parameter, _ in self._trained()]
        kept = read_slots(self.optimizer, 0)
        absent = [slot.value for slot in kept if slot not in state.slots]
        if self.averages is not None and state.averages is None:
            absent.append("moving averages")
        if absent:
            raise InvalidOption(
                f"The state holds no {', '.join(absent)}, which this training keeps. Load its variables alone with "
                "load_state, or train by the recipe that the state comes from."
            )
        for slot in kept:
            shapes = {name: np.shape(values) for name, values in state.slots[slot].items()}
            check_state(trained, shapes, subject=f"The optimiser's {slot.value}", network=self.spec.name)

    def _trained(self) -> list[tuple[Parameter, Variable]]:
        """What training changes by gradients, in forward order."""
        return [
            (parameter, self._variables[parameter.name])
            for parameter in parameters(self.spec)
            if parameter.name in self._variables and self._variables[parameter.name].trainable
        ]


def _value(variable: Variable) -> Any:
    """TensorFlow's own variable, by which gradients are taken."""
    untyped: Any = variable
    return untyped.value
