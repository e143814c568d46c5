"""Training by a published recipe: one step at a time, and everything about the state under canonical names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from effnet_core import (
    InvalidOption,
    LearningRate,
    NetworkSpec,
    Parameter,
    Slot,
    TrainingRecipe,
    TrainingState,
    check_state,
)
from effnet_torch.averages import MovingAverages
from effnet_torch.losses import cross_entropy, weight_decay
from effnet_torch.optimizers import create_optimizer, read_slots
from effnet_torch.weights import load_state, named_tensors, read_state, to_canonical, to_torch


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What one step gave."""

    loss: Tensor
    """With weight decay."""
    logits: Tensor
    """(N, classes)."""
    learning_rate: float


class Trainer:
    """A network in training, with its optimiser and moving averages.

    The mode is the caller's: call `model.train()` before. Each step is one of the official code: loss with label
    smoothing and weight decay, moving statistics, optimiser, moving averages.
    """

    def __init__(
        self,
        model: nn.Module,
        spec: NetworkSpec,
        recipe: TrainingRecipe,
        *,
        learning_rate: LearningRate,
        optimizer: Optimizer | None = None,
    ) -> None:
        """`optimizer` takes the place of the recipe's, and its rate is set before each step.

        Raises `CheckpointMismatch` when the model is not the network of `spec`.
        """
        self.model = model
        self.spec = spec
        self.recipe = recipe
        self.learning_rate = learning_rate
        self.steps = 0
        """Steps that were made."""
        self._tensors = named_tensors(model, spec)
        trained = [tensor for _, tensor in self._trained()]
        self.optimizer = optimizer or create_optimizer(recipe.optimizer, trained, lr=learning_rate.peak)
        rule = recipe.moving_average
        self.averages = None if rule is None else MovingAverages(model, spec, rule)

    def step(self, images: Tensor, labels: Tensor) -> StepResult:
        """One step on images (N, C, H, W) and labels, as `cross_entropy` takes them."""
        rate = self.learning_rate.at(self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        logits = self.model(images)
        loss = cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        if self.recipe.weight_decay is not None:
            loss = loss + weight_decay(self.model, self.spec, self.recipe.weight_decay)
        loss.backward()  # pyright: ignore[reportUnknownMemberType]  # torch does not annotate it
        self.optimizer.step()
        self.steps += 1
        if self.averages is not None:
            self.averages.update(self.steps)
        return StepResult(loss=loss.detach(), logits=logits.detach(), learning_rate=rate)

    def gradients(self) -> dict[str, NDArray[Any]]:
        """Of the last step's loss, under canonical names."""
        found: dict[str, NDArray[Any]] = {}
        for parameter, tensor in self._trained():
            if tensor.grad is not None:
                found[parameter.name] = to_canonical(parameter, tensor.grad)
        return found

    def state(self) -> TrainingState:
        """Where the training stands, as copies."""
        slots: dict[Slot, dict[str, NDArray[Any]]] = {}
        for parameter, tensor in self._trained():
            for slot, values in read_slots(self.optimizer, tensor).items():
                slots.setdefault(slot, {})[parameter.name] = to_canonical(parameter, values)
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
        with torch.no_grad():
            for parameter, tensor in self._trained():
                for slot, values in read_slots(self.optimizer, tensor).items():
                    values.copy_(to_torch(parameter, state.slots[slot][parameter.name]))
        self.steps = state.step

    def _check(self, state: TrainingState) -> None:
        trained = [parameter for parameter, _ in self._trained()]
        kept = read_slots(self.optimizer, self._trained()[0][1])
        absent = [slot.value for slot in kept if slot not in state.slots]
        if self.averages is not None and state.averages is None:
            absent.append("moving averages")
        if absent:
            raise InvalidOption(
                f"The state holds no {', '.join(absent)}, which this training keeps. Load its variables alone with "
                "load_state, or train by the recipe that the state comes from."
            )
        for slot in kept:
            shapes = {name: values.shape for name, values in state.slots[slot].items()}
            check_state(trained, shapes, subject=f"The optimiser's {slot.value}", network=self.spec.name)

    def _trained(self) -> list[tuple[Parameter, Tensor]]:
        return [(parameter, tensor) for parameter, tensor in self._tensors if tensor.requires_grad]
